"""The overhead of sampling: the fraction of the time in which no network runs.

    python -m benchmarks.overhead                   the shipped model, DDIM, 16 samples, guided
    python -m benchmarks.overhead --batch 1 --steps 20 --sampler heun --json

Two fractions are printed. Outside the *network*: all time in which no thread is inside a call of
the network; that is guidance, clipping, the sampler's own arithmetic, distributing shards to
threads, and combining their results. Outside its *evaluation*: the same, but without the work for
the threads. The median of several samplings is printed, and the minimum, which other programs
disturb the least.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from npdiff import nn
from npdiff.generation import generate, load, network


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """The length of the union of intervals.

    >>> covered([(3.0, 4.0), (0.0, 2.0), (1.0, 2.5)])
    3.5
    """
    length, reached = 0.0, -np.inf
    for start, end in sorted(spans):
        length += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return length


@contextmanager
def recorded(owner: Any, name: str) -> Iterator[list[tuple[float, float]]]:
    """The intervals in which the function ``name`` of ``owner`` ran, within this block."""
    spans: list[tuple[float, float]] = []
    call = getattr(owner, name)

    def timed_call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            spans.append((start, time.perf_counter()))

    setattr(owner, name, timed_call)
    try:
        yield spans
    finally:
        setattr(owner, name, call)


def timed(once: Callable[[], object]) -> dict[str, float]:
    """Seconds that ``once`` took, and their fractions outside the network and its evaluation."""
    with recorded(nn.UNet, "__call__") as calls, recorded(network, "forward") as evaluations:
        start = time.perf_counter()
        once()
        total = time.perf_counter() - start
    return {
        "seconds": total,
        "outside_network": 1.0 - covered(calls) / total,
        "outside_evaluation": 1.0 - covered(evaluations) / total,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", help="a run folder or a model file (default: the shipped model)")
    parser.add_argument("--batch", type=int, default=16, help="samples at a time (default: 16)")
    parser.add_argument("--steps", type=int, default=50, help="steps of the sampler (default: 50)")
    parser.add_argument("--sampler", default="ddim", help="name of the sampler (default: ddim)")
    parser.add_argument(
        "--guidance",
        type=float,
        default=2.0,
        help="guidance scale; 1 means no guidance (default: 2)",
    )
    parser.add_argument("--threads", type=int, help="number of threads (default: one for each CPU)")
    parser.add_argument("--rounds", type=int, default=5, help="number of samplings (default: 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    checkpoint = load(arguments.model)
    classes = checkpoint.config.model.get("classes")
    labels = None if classes is None else np.arange(arguments.batch) % classes

    def once() -> None:
        generate(
            checkpoint, labels, count=arguments.batch, threads=arguments.threads,
            sampler=arguments.sampler, steps=arguments.steps, guidance=arguments.guidance,
        )  # fmt: skip

    once()  # fills the caches
    rounds = [timed(once) for _ in range(arguments.rounds)]
    if arguments.json:
        print(json.dumps({"settings": vars(arguments), "rounds": rounds}, indent=2))
        return 0
    of = {name: [one[name] for one in rounds] for name in rounds[0]}
    print(
        f"{arguments.batch} samples, {arguments.sampler}, {arguments.steps} steps, guidance "
        f"{arguments.guidance:g}: {statistics.median(of['seconds']):.3f} s"
    )
    for name in ("network", "evaluation"):
        fractions = of[f"outside_{name}"]
        print(
            f"outside the {name}: {statistics.median(fractions):.2%} (minimum {min(fractions):.2%})"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
