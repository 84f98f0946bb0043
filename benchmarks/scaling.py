"""Scaling of time and memory with batch size, resolution, width, and length of attention.

    python -m benchmarks.scaling --json scaling.json        about ten minutes
    python -m benchmarks.scaling --quick                    two points of every curve
    python -m benchmarks.scaling --from scaling.json --plot docs/images/scaling.png

One training step of npdiff and of PyTorch's best eager setting (channels_last, fused AdamW), in
turns in one session, as in `npdiff bench`. All networks are S with one property changed; attention
is a separate block, forward and pullback. PyTorch is optional.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from npdiff.bench.contenders import ContenderError, check_contenders, is_available
from npdiff.bench.machine import describe_machine
from npdiff.bench.measure import Plan, compare, peak
from npdiff.bench.networks import BENCHMARK_NETWORKS, Network
from npdiff.cli.common import integer_at_least, output_path
from npdiff.errors import InputError
from npdiff.files import atomic
from npdiff.runtime.progress import progress_bar
from npdiff.runtime.threads import thread_count

BEST = "torch-channels-last-fused"


class Curve(NamedTuple):
    """A series of networks in which one property grows.

    Attributes
    ----------
    about : a description of the property, for the axis
    points : (value of the property, network, batch size)
    """

    about: str
    points: list[tuple[int, Network, int]]


def at_resolution(side: int) -> Network:
    """S on images of ``side`` pixels, with more or fewer levels, so that attention stays at 8x8.

    The multipliers are 1, 2, 2, 2, ...: all levels after the first are twice as wide.
    """
    levels = (side // 8).bit_length()
    s = BENCHMARK_NETWORKS["S"]
    options = {**s.model, "multipliers": (1,) + (2,) * (levels - 1), "attention": (levels - 1,)}
    return dataclasses.replace(s, name=f"{side}x{side}", shape=(side, side, 1), model=options)


def of_width(width: int) -> Network:
    """S with ``width`` channels at the first level."""
    s = BENCHMARK_NETWORKS["S"]
    return dataclasses.replace(s, name=f"width {width}", model={**s.model, "width": width})


def of_length(side: int) -> Network:
    """A block of attention over ``side`` x ``side`` positions of 64 channels, 4 heads."""
    return Network(f"attention {side * side}", (side, side, 64), {"heads": 4}, attention=True)


def curves(quick: bool) -> dict[str, Curve]:
    """All curves, or the first two points of each."""

    def chosen(values: Sequence[int]) -> Sequence[int]:
        return values[:2] if quick else values

    return {
        "batch": Curve(
            "images in a batch (S)",
            [(n, BENCHMARK_NETWORKS["S"], n) for n in chosen((1, 4, 16, 64, 128))],
        ),
        "resolution": Curve(
            "pixels along a side, batches of 8",
            [(n, at_resolution(n), 8) for n in chosen((16, 32, 64, 128))],
        ),
        "width": Curve(
            "channels at the first level, batches of 16",
            [(n, of_width(n), 16) for n in chosen((16, 32, 64, 128))],
        ),
        "attention": Curve(
            "positions, 64 channels, 4 heads, batches of 4",
            [(n * n, of_length(n), 4) for n in chosen((8, 16, 32, 64))],
        ),
    }


def measured(
    chosen: dict[str, Curve], names: list[str], *, threads: int, rounds: int, memory: bool
) -> dict[str, Any]:
    """The figures: machine, matrix products, and for each curve its rows in order."""
    plan = Plan([], [], ["train"], names, threads=threads, rounds=rounds, memory=memory)
    peaks = peak(plan)
    best = max(peaks.values())
    facts: dict[str, Any] = {
        "machine": describe_machine(threads, "numpy"),
        "gemm": {**peaks, "peak": best},
        "curves": {},
    }  # fmt: skip
    each = len(names) * (rounds + 1 + memory)
    total = each * sum(len(curve.points) for curve in chosen.values())
    with progress_bar(total, "turn", "timing") as progress:

        def tick(what: str) -> None:
            progress.set_postfix_str(what, refresh=False)
            progress.update()

        for name, curve in chosen.items():
            rows = [
                {"at": at, **dataclasses.asdict(row)}
                for at, network, batch in curve.points
                for row in compare(plan, network, batch, best, tick)
            ]
            facts["curves"][name] = {"about": curve.about, "rows": rows}
    return facts


def report(facts: dict[str, Any]) -> str:
    """The figures as text."""
    lines = []
    for name, curve in facts["curves"].items():
        lines += [f"\n{name}: {curve['about']}"]
        lines += [f"{'at':>6}  {'contender':27}{'ms':>10}{'MiB':>10}{'ratio':>8}"]
        for row in curve["rows"]:
            if row["seconds"] is None:
                lines.append(f"{row['at']:>6}  {row['contender']:27} {row['error']}")
                continue
            memory = "" if row["memory"] is None else f"{row['memory'] / 2**20:.0f}"
            ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
            lines.append(
                f"{row['at']:>6}  {row['contender']:27}{1e3 * row['seconds']:>10.4g}{memory:>10}"
                f"{ratio:>8}"
            )
    return "\n".join(lines)


def plot(facts: dict[str, Any], path: Path) -> None:
    """Panels with logarithmic axes: time above, memory below, one column for each curve."""
    from matplotlib.figure import Figure

    chosen = facts["curves"]
    figure = Figure(figsize=(3.2 * len(chosen), 5.6), layout="constrained")
    panels = figure.subplots(2, len(chosen), squeeze=False)
    for k, (name, curve) in enumerate(chosen.items()):
        names = list(dict.fromkeys(row["contender"] for row in curve["rows"]))
        for contender in names:
            rows = [row for row in curve["rows"] if row["contender"] == contender]
            for panel, field, unit in zip(
                panels[:, k], ("seconds", "memory"), (1e-3, 2.0**20), strict=True
            ):
                found = [(row["at"], row[field] / unit) for row in rows if row[field]]
                panel.loglog([x for x, _ in found], [y for _, y in found], "o-", label=contender)
        for panel in panels[:, k]:
            panel.set_xscale("log", base=2)
            panel.grid(alpha=0.3)
        panels[0, k].set_title(name)
        panels[1, k].set_xlabel(curve["about"], fontsize="small")
    panels[0, 0].set_ylabel("a training step, ms")
    panels[1, 0].set_ylabel("peak memory, MiB")
    panels[0, 0].legend(fontsize="small")
    figure.savefig(path, dpi=120)


def parser() -> argparse.ArgumentParser:
    """The options."""
    top = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--quick", action="store_true", help="two points of every curve, one round")
    top.add_argument(
        "--curve", action="append", choices=curves(True), help="which curves (default: all)"
    )
    top.add_argument("--contender", action="append", metavar="NAME", help="as for `npdiff bench`")
    top.add_argument(
        "--threads", type=integer_at_least(1), help="number of threads of every contender"
    )
    top.add_argument(
        "--rounds", type=integer_at_least(1), help="number of turns that count (default: 3)"
    )
    top.add_argument(
        "--memory", action=argparse.BooleanOptionalAction, default=True,
        help="measure peak memory (default: yes)",
    )  # fmt: skip
    top.add_argument("--json", metavar="FILE.json", help="write all figures to a file")
    top.add_argument(
        "--from", metavar="FILE.json", dest="source", help="read figures instead of measuring"
    )
    top.add_argument("--plot", metavar="FILE.png", help="draw them")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Measure or read; print, write and draw."""
    options = parser().parse_args(argv)
    try:
        file = output_path(options.json, ".json") if options.json else None
        picture = output_path(options.plot, ".png") if options.plot else None
        if options.source:
            facts = json.loads(Path(options.source).read_text(encoding="utf-8"))
        else:
            names = options.contender or ["npdiff", *([BEST] if is_available(BEST) else [])]
            check_contenders(names)
            every = curves(options.quick)
            facts = measured(
                {name: every[name] for name in options.curve or every},
                names,
                threads=options.threads or thread_count(),
                rounds=options.rounds or (1 if options.quick else 3),
                memory=options.memory,
            )
    except (InputError, ContenderError, OSError, ValueError) as error:
        print(f"benchmarks.scaling: {error}", file=sys.stderr)
        return 2
    print(report(facts))
    if file:
        with atomic(file) as out:
            out.write((json.dumps(facts, indent=2) + "\n").encode())
    if picture:
        plot(facts, picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
