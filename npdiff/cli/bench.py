"""``npdiff bench``: the speed of training and sampling, compared with PyTorch if installed."""

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from npdiff.backend import module
from npdiff.bench.contenders import CONTENDERS, ContenderError, check_contenders, default_contenders
from npdiff.bench.measure import TASKS, Plan, run_session
from npdiff.bench.networks import BENCHMARK_NETWORKS, workload
from npdiff.bench.profile import step_profile
from npdiff.cli.common import (
    add_backend,
    add_threads,
    command,
    integer_at_least,
    output_path,
    pluralize,
    report_file,
)
from npdiff.cli.profile import milliseconds, profile_text
from npdiff.cli.tables import Column, table, terminal_width
from npdiff.errors import InputError
from npdiff.files import atomic
from npdiff.runtime.progress import progress_bar
from npdiff.runtime.threads import thread_count

#: Networks and batch sizes of the full table, and of the short one.
NETWORKS_WHOLE, BATCHES_WHOLE = ("S", "M", "L"), (1, 16, 32, 64, 128)
NETWORKS_SHORT, BATCHES_SHORT = ("S",), (32,)
#: Largest relative difference in float32 that is rounding.
ALLOWED = 1e-3

DETAILS = f"""\
examples:
  npdiff bench                                     a short table: network S, batches of 32
  npdiff bench --network M --batch 64 --rounds 9
  npdiff bench --whole --json figures.json         S, M, L; batches of 1, 16, 32, 64, 128: long
  npdiff bench --definitions-only                  npdiff without kernels as one more contender
  npdiff bench --profile --network S --batch 32    the time of a training step by layer

Networks, in float32: S (1x32x32, width 32, multipliers 1, 2, 2), M (3x32x32, width 64, 1, 2, 2)
and L (3x32x32, width 64, 1, 2, 4) have two residual blocks per level, scaled and shifted by the
timestep (AdaGN), attention at 8x8, no labels; digits and digits-large are the presets, with labels.
A module given by --import can add U-Nets to npdiff.bench.networks.BENCHMARK_NETWORKS.

Tasks: train is a whole step: noise, forward, backward, clipping, AdamW and the moving average of
the weights, for PyTorch as well; infer is one evaluation of the network; sample is ten steps of
DDIM, guided if there are labels.

Contenders (--contender NAME, repeatable; by default npdiff and the first three of PyTorch):
{chr(10).join(f"  {name:26} {about}" for name, about in CONTENDERS.items())}

Each contender is a separate process, all with the same number of threads. They take turns; a turn
in which other programs used the CPUs is discarded and repeated, up to six times, and * marks a row
in which a disturbed turn counts nevertheless. A task of less than 0.2 s is repeated within a turn.

Columns:
  ms        the median of the turns
  range     the fastest and the slowest turn
  images/s  images per second
  of peak   multiply-adds per second, as a fraction of those of the fastest matrix product measured
            here; convolutions count as direct, so Winograd's algorithm may exceed 100 %
  memory    the peak memory of the process minus that of the idle process with the network
  ratio     npdiff's time divided by the contender's: below 1 npdiff is faster"""

COLUMNS = (
    Column("network"),
    Column("batch", right=True),
    Column("task"),
    Column("contender", least=12, end=True),
    Column("ms", right=True),
    Column("range", right=True, drop=1),
    Column("images/s", right=True, drop=2),
    Column("of peak", right=True, drop=3),
    Column("memory", right=True),
    Column("ratio", right=True),
)


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "bench", "time training and sampling on this machine", DETAILS)
    parser.add_argument(
        "--network", action="append", choices=BENCHMARK_NETWORKS, metavar="NAME", dest="networks",
        help="S, M, L, digits or digits-large; repeatable (default: S)",
    )  # fmt: skip
    parser.add_argument(
        "--batch", action="append", type=integer_at_least(1), metavar="N", dest="batches",
        help="images at a time; repeatable (default: 32)",
    )  # fmt: skip
    parser.add_argument(
        "--whole", action="store_true",
        help="the full table: S, M and L and batches of 1, 16, 32, 64 and 128, unless --network or "
        "--batch is given",
    )  # fmt: skip
    parser.add_argument(
        "--task", action="append", choices=TASKS, dest="tasks",
        help="what to time; repeatable (default: train and infer)",
    )  # fmt: skip
    parser.add_argument(
        "--contender", action="append", metavar="NAME", dest="contenders",
        help="a contender from the list below; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--definitions-only", action="store_true", dest="definitions",
        help="add npdiff without kernels as a contender; with --profile, profile it",
    )  # fmt: skip
    parser.add_argument("--compile", action="store_true", help="add torch.compile as a contender")
    parser.add_argument(
        "--rounds",
        type=integer_at_least(1),
        default=5,
        metavar="N",
        help="measured rounds of all contenders (default: 5)",
    )
    parser.add_argument(
        "--memory", action=argparse.BooleanOptionalAction, default=True,
        help="measure peak memory, in separate processes (default: yes)",
    )  # fmt: skip
    parser.add_argument(
        "--profile", action="store_true",
        help="instead, time each layer and function of npdiff's training step",
    )  # fmt: skip
    add_threads(parser)
    add_backend(parser)
    parser.add_argument("--json", metavar="FILE.json", help="also write all figures to a file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; returns 1 if npdiff and PyTorch disagree or a contender failed."""
    file = output_path(arguments.json, ".json") if arguments.json else None
    module(arguments.backend)
    facts = run_profiles(arguments) if arguments.profile else run_plan(plan_of(arguments))
    if file:
        with atomic(file) as out:
            out.write((json.dumps(facts, indent=2) + "\n").encode())
        report_file(file, "all figures")
    if arguments.profile:
        return 0
    differences = [max(found.values()) for found in facts["agreement"].values()]
    failed = any(row["error"] for row in facts["rows"])
    return 1 if failed or any(not d <= ALLOWED for d in differences) else 0


def plan_of(arguments: argparse.Namespace) -> Plan:
    """The plan given by the options.

    Raises
    ------
    InputError
        If a contender cannot run here.
    """
    names = list(dict.fromkeys(arguments.contenders or default_contenders()))
    for wanted, name in (
        (arguments.definitions, "npdiff-definitions"),
        (arguments.compile, "torch-compile"),
    ):
        if wanted and name not in names:
            names.append(name)
    check_contenders(names)
    for name in names:
        if name.endswith("-tf32") and arguments.backend != "cupy":
            raise InputError(f"contender {name!r} needs a GPU: add --backend cupy, or leave it out")
    networks, batches = sizes(arguments)
    return Plan(
        [BENCHMARK_NETWORKS[name] for name in networks],
        batches,
        list(dict.fromkeys(arguments.tasks or ("train", "infer"))),
        names,
        threads=arguments.threads or thread_count(),
        backend=arguments.backend,
        rounds=arguments.rounds,
        memory=arguments.memory,
    )


def sizes(arguments: argparse.Namespace) -> tuple[list[str], list[int]]:
    """The names of the networks, and the batch sizes."""
    networks = NETWORKS_WHOLE if arguments.whole else NETWORKS_SHORT
    batches = BATCHES_WHOLE if arguments.whole else BATCHES_SHORT
    return list(arguments.networks or networks), list(arguments.batches or batches)


def run_plan(plan: Plan) -> dict[str, Any]:
    """Run a session and print its table.

    Raises
    ------
    InputError
        If a process could not be started.
    """
    with progress_bar(plan.ticks(), "turn", "timing") as progress:

        def tick(what: str) -> None:
            progress.set_postfix_str(what, refresh=False)
            progress.update()

        try:
            facts = run_session(plan, tick)
        except ContenderError as failure:
            raise InputError(f"measuring failed: {failure}") from failure
    print(heading(facts))
    print(table(COLUMNS, [table_row(row) for row in facts["rows"]], terminal_width()))
    print("\n".join(notes(facts)))
    return facts


def heading(facts: dict[str, Any]) -> str:
    """The machine, the speed of its matrix products, and whether npdiff and PyTorch agree."""
    machine = facts["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"{machine.get('gpu') or machine['processor']}, {pluralize(machine['threads'], 'thread')}, "
        f"float32, {versions}",
        f"matrix product: {facts['gemm']['peak'] / 1e9:.0f} GFLOP/s",
    ]
    lines += [
        f"{name}: npdiff and PyTorch differ by {found['output']:.1e} of the largest output, "
        f"{found['gradients']:.1e} of the largest gradient"
        + ("" if max(found.values()) <= ALLOWED else ": THEY DISAGREE")
        for name, found in facts["agreement"].items()
    ]
    return "\n".join(lines) + "\n"


def table_row(row: dict[str, Any]) -> list[str]:
    """The cells of a row of the table."""
    first = [row["network"], str(row["batch"]), row["task"], row["contender"]]
    if row["seconds"] is None:
        return [*first, "failed", "", "", "", "", ""]
    ratio, memory = row["ratio"], row["memory"]
    return [
        *first,
        milliseconds(row["seconds"]) + ("*" if row["disturbed"] else ""),
        f"{milliseconds(row['fastest'])}-{milliseconds(row['slowest'])}",
        f"{row['images_per_second']:.4g}",
        f"{row['fraction']:.0%}",
        "" if memory is None else f"{memory / 2**20:.0f} MiB",
        "" if ratio is None else f"{ratio:.2f}",
    ]


def notes(facts: dict[str, Any]) -> Iterator[str]:
    """Explanations below the table."""
    rows = facts["rows"]
    again, disturbed = (sum(row[name] for row in rows) for name in ("again", "disturbed"))
    yield ""
    yield "ratio: npdiff's time divided by the contender's: below 1 npdiff is faster"
    yield "of peak: with direct convolutions; Winograd multiplies less, so it may exceed 100 %"
    if again:
        yield f"{pluralize(again, 'turn')} repeated because other programs were busy"
    if disturbed:
        yield f"* {pluralize(disturbed, 'turn')} counted although other programs ran: close them"
    for row in rows:
        if row["error"]:
            label = (str(row[key]) for key in ("network", "batch", "task", "contender"))
            yield f"{' '.join(label)}: {row['error']}"


def run_profiles(arguments: argparse.Namespace) -> dict[str, Any]:
    """Profile a training step and print the tables, for each network and batch.

    Raises
    ------
    InputError
        If options are given that do not apply to a profile.
    """
    if arguments.contenders or arguments.tasks or arguments.compile:
        raise InputError(
            "--profile times npdiff's training step: leave out --contender, --task and --compile"
        )
    if arguments.backend != "numpy":
        raise InputError("--profile works only on the CPU: leave out --backend cupy")
    from npdiff.acceleration import definitions_only

    threads, found = arguments.threads or thread_count(), []
    networks, batches = sizes(arguments)
    with ExitStack() as stack:
        if arguments.definitions:
            stack.enter_context(definitions_only())
        for name in networks:
            for batch in batches:
                work = workload(BENCHMARK_NETWORKS[name], batch, threads, arguments.backend)
                found.append(step_profile(work, threads, arguments.rounds))
                print(profile_text(found[-1]))
    return {"profiles": found}
