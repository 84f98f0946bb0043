"""npdiff on a GPU: agreement of CuPy with NumPy, and speed compared with PyTorch.

    python -m benchmarks.gpu                            networks S, M, L; batches of 128
    python -m benchmarks.gpu --network S --batch 32 --json gpu.json
    python -m benchmarks.gpu --convolutions             single convolutions by every algorithm
    python -m benchmarks.gpu --agreement                only the comparison of results

First values and gradients of every network on the GPU are compared with the definitions on the
host. Then contenders take turns in one process, each compared with PyTorch eager in the same
precision: float32 is true float32 everywhere, tf32 is TF32 everywhere. Times are of whole tasks
until the GPU is idle: train is noise, forward, backward, clipping, AdamW and the moving average;
sample is ten steps of DDIM. "npdiff" launches kernel by kernel, "npdiff, graph" replays one
captured step. The table has medians, and npdiff's divided by PyTorch's with default and with faster
settings: below 1 npdiff is faster.

Needs CuPy and a GPU; without PyTorch (pip install torch) it measures only npdiff. The exit status
is 0, or 1 if results disagree, or 2 if there is no GPU.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import gpu_tasks
from npdiff.backend import module
from npdiff.bench.networks import BENCHMARK_NETWORKS, workload
from npdiff.errors import InputError
from npdiff.runtime.memory import explain_memory_errors

#: Largest relative differences to the definitions in float64 on the host that are rounding.
ALLOWED = {"float32": 2e-4, "tf32": 3e-2, "float64": 1e-10}
TASKS = ("train", "sample")
#: Runs that do not count: kernels are compiled, memory is allocated, graphs are captured.
WARM_UPS = 5


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--network", action="append", choices=("S", "M", "L"), help="default: all three"
    )
    made.add_argument("--batch", action="append", type=int, help="images at a time (128)")
    made.add_argument("--rounds", type=int, default=15, help="number of turns that count (15)")
    made.add_argument("--agreement", action="store_true", help="compare results, time nothing")
    made.add_argument("--convolutions", action="store_true", help="time single convolutions")
    made.add_argument("--json", metavar="FILE", help="also write the figures to a file")
    return made


def agreements(xp: Any, names: Sequence[str]) -> tuple[list[dict[str, Any]], bool]:
    """A row for each network and precision, and whether all differences are rounding."""
    rows = []
    print(f"{'network':9}{'precision':11}{'values':>10}{'gradients':>11}{'allowed':>10}")
    for name in names:
        for precision, allowed in ALLOWED.items():
            values, gradients = gpu_tasks.relative_errors(xp, BENCHMARK_NETWORKS[name], precision)
            ok = max(values, gradients) <= allowed
            row = {"network": name, "precision": precision, "values": values, "ok": ok}
            rows.append({**row, "gradients": gradients, "allowed": allowed})
            note = "" if ok else "  <- not rounding"
            print(f"{name:9}{precision:11}{values:10.1e}{gradients:11.1e}{allowed:10.0e}{note}")
    return rows, all(row["ok"] for row in rows)


def turns(
    contenders: dict[str, Callable[[], None]], rounds: int, least: float = 0.1
) -> dict[str, list[float]]:
    """Seconds of a run of each, in turns; short runs are repeated within a turn."""
    repeats = {}
    for name, run in contenders.items():
        for _ in range(WARM_UPS):
            run()
        start = time.perf_counter()
        run()
        repeats[name] = max(1, round(least / max(1e-9, time.perf_counter() - start)))
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            taken[name].append((time.perf_counter() - start) / repeats[name])
    return taken


def timed(xp: Any, name: str, batch: int, rounds: int) -> list[dict[str, Any]]:
    """The rows of one network and batch, printed as they come."""
    rows: list[dict[str, Any]] = []
    print(f"\n{name}, batches of {batch}")
    head = f"{'task':8}{'precision':11}{'contender':24}{'ms':>9}{'range':>16}{'images/s':>10}"
    print(f"{head}{'default':>9}{'fastest':>9}")
    for precision in ("float32", "tf32"):
        work = workload(BENCHMARK_NETWORKS[name], batch, backend="cupy")
        contenders = gpu_tasks.contenders(work, xp, precision)
        for task in TASKS:
            runs = {label: make(task) for label, make in contenders.items()}
            with explain_memory_errors(
                "cupy", f"{task} of {name} with {batch} images", "a smaller --batch"
            ):
                taken = turns(runs, rounds)
            medians = {label: statistics.median(seconds) for label, seconds in taken.items()}
            peers = [s for label, s in medians.items() if label.startswith("PyTorch")]
            for label, seconds in taken.items():
                own = medians[label]
                row: dict[str, Any] = {
                    "network": name, "batch": batch, "task": task, "precision": precision,
                    "contender": label, "seconds": own,
                    "fastest": min(seconds), "slowest": max(seconds),
                    "ratio_default": own / peers[0] if peers else None,
                    "ratio_fastest": own / min(peers) if peers else None,
                }  # fmt: skip
                rows.append(row)
                print(_line(row, batch))
    return rows


def _line(row: dict[str, Any], batch: int) -> str:
    extremes = f"{1e3 * row['fastest']:.2f}-{1e3 * row['slowest']:.2f}"
    ratios = [row["ratio_default"], row["ratio_fastest"]]
    columns = "".join(f"{'-' if ratio is None else f'{ratio:.2f}':>9}" for ratio in ratios)
    return (
        f"{row['task']:8}{row['precision']:11}{row['contender']:24}{1e3 * row['seconds']:9.2f}"
        f"{extremes:>16}{batch / row['seconds']:10.0f}{columns}"
    )


def convolutions(xp: Any, batch: int, rounds: int) -> list[dict[str, Any]]:
    """Every algorithm for every shape in the networks, to set the limits in ``cuda/conv.py``."""
    shapes = [
        (32, 3, 64),
        (32, 64, 64),
        (32, 128, 64),
        (16, 128, 128),
        (8, 256, 256),
        (8, 512, 256),
    ]
    rows = []
    print(f"\nms of a convolution forward, and forward and back; batches of {batch}")
    print(f"{'size':>5}{'C':>5}{'F':>5}  {'precision':11}{'algorithm':12}{'forward':>9}{'both':>9}")
    for size, C, F in shapes:
        for precision in ("float32", "tf32", "float16"):
            algorithms = gpu_tasks.algorithms(xp, (batch, size, size, C), F, precision)
            taken = turns(algorithms, rounds, 0.02)
            for (algorithm, forward), (_, both) in pairwise(list(taken.items())):
                if algorithm.endswith("both"):
                    continue
                ms = [1e3 * statistics.median(seconds) for seconds in (forward, both)]
                row: dict[str, Any] = {"size": size, "C": C, "F": F, "precision": precision}
                rows.append({**row, "algorithm": algorithm, "forward_ms": ms[0], "both_ms": ms[1]})
                print(f"{size:5}{C:5}{F:5}  {precision:11}{algorithm:12}{ms[0]:9.3f}{ms[1]:9.3f}")
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with the given options."""
    options = parser().parse_args(arguments)
    names, batches = options.network or ["S", "M", "L"], options.batch or [128]
    if options.rounds < 1 or min(batches) < 1:
        print("benchmarks.gpu: --rounds and --batch must be 1 or more", file=sys.stderr)
        return 2
    try:
        xp = module("cupy")
    except InputError as error:
        print(f"benchmarks.gpu: there is no GPU to measure: {error}", file=sys.stderr)
        return 2
    properties = xp.cuda.runtime.getDeviceProperties(xp.cuda.Device().id)
    facts: dict[str, Any] = {"gpu": properties["name"].decode(), "cupy": xp.__version__}
    facts["numpy"] = np.__version__
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    facts["agreement"], agreed = agreements(xp, names)
    try:
        if options.convolutions:
            facts["convolutions"] = convolutions(xp, batches[0], options.rounds)
        elif not options.agreement:
            facts["rows"] = [
                row
                for name in names
                for batch in batches
                for row in timed(xp, name, batch, options.rounds)
            ]
    except InputError as error:
        print(f"benchmarks.gpu: {error}", file=sys.stderr)
        agreed = False
    if options.json:
        Path(options.json).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
