"""What sampling takes beside the network: the share of the time in which no network runs.

    python -m benchmarks.overhead                   the shipped model, DDIM, 16 samples, guided
    python -m benchmarks.overhead --batch 1 --steps 20 --sampler heun --json

Two shares are printed. Beside the *network*: all time in which no shard of any thread is within a
call of it; that is the tables made before the first step, guidance, clipping, the sampler's own
arithmetic, and handing shards to threads and putting their results together. Beside its
*evaluation*: the same without the threads, whose work is the network's. Of several samplings the
medians are printed, and the least, which other programs disturb the least.
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
    """When the function ``name`` of ``owner`` was running, within this block."""
    spans: list[tuple[float, float]] = []
    call = getattr(owner, name)

    def watched(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            spans.append((start, time.perf_counter()))

    setattr(owner, name, watched)
    try:
        yield spans
    finally:
        setattr(owner, name, call)


def timed(once: Callable[[], object]) -> dict[str, float]:
    """Seconds that ``once`` took, and the shares of them beside the network and its evaluation."""
    with recorded(nn.UNet, "__call__") as calls, recorded(network, "forward") as evaluations:
        start = time.perf_counter()
        once()
        total = time.perf_counter() - start
    return {
        "seconds": total,
        "beside_network": 1.0 - covered(calls) / total,
        "beside_evaluation": 1.0 - covered(evaluations) / total,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", help="a run folder or a model file (default: the shipped model)")
    parser.add_argument("--batch", type=int, default=16, help="samples at a time (default: 16)")
    parser.add_argument("--steps", type=int, default=50, help="of the sampler (default: 50)")
    parser.add_argument("--sampler", default="ddim", help="its name (default: ddim)")
    parser.add_argument("--guidance", type=float, default=2.0, help="1 is none (default: 2)")
    parser.add_argument("--threads", type=int, help="of the network (default: one a CPU)")
    parser.add_argument("--rounds", type=int, default=5, help="samplings (default: 5)")
    parser.add_argument("--json", action="store_true", help="print it as JSON, for programs")
    arguments = parser.parse_args()
    checkpoint = load(arguments.model)
    classes = checkpoint.config.model.get("classes")
    labels = None if classes is None else np.arange(arguments.batch) % classes

    def once() -> None:
        generate(
            checkpoint, labels, count=arguments.batch, threads=arguments.threads,
            sampler=arguments.sampler, steps=arguments.steps, guidance=arguments.guidance,
        )  # fmt: skip

    once()  # the first time is for the caches
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
        shares = of[f"beside_{name}"]
        print(f"beside the {name}: {statistics.median(shares):.2%} (least {min(shares):.2%})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
