"""Checks of pooling, upsampling, space-to-depth and depth-to-space."""

from itertools import product
from typing import Any

import numpy as np

from npdiff import ops
from npdiff.backend import to_host
from npdiff.laboratory.complex_step import compare
from npdiff.laboratory.registry import Case, check, relative


def _cells(space: tuple[int, ...], factor: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every cell o and every position k in it."""
    return list(product(product(*map(range, space)), product(range(factor), repeat=len(space))))


@check(
    "average-pool", "average-pool-pullback", "upsample", "upsample-pullback",
    method="cell by cell, complex step", tolerance=1e-13, cases=6,
)  # fmt: skip
def cells_by_loops(case: Case) -> dict[str, float]:
    """The mean over each cell, and a copy of each element at every position of its cell."""
    space, factor = case.choose([((2, 3), 2), ((3,), 3), ((1, 2, 2), 2)])
    large = tuple(n * factor for n in space)
    cut = tuple(n - i % 2 for i, n in enumerate(large)) if case.index > 2 else large

    def at(o: tuple[int, ...], k: tuple[int, ...]) -> tuple[Any, ...]:
        return (slice(None), *(factor * i + j for i, j in zip(o, k, strict=True)))

    def mean(x: Any) -> Any:
        y: Any = np.zeros((2, *space, 2), dtype=complex)
        for o, k in _cells(space, factor):
            y[(slice(None), *o)] += x[at(o, k)] / factor ** len(space)
        return y

    def copies(x: Any) -> Any:
        y = np.zeros((2, *large, 2), dtype=complex)
        for o, k in _cells(space, factor):
            y[at(o, k)] = x[(slice(None), *o)]
        return y[(slice(None), *map(slice, cut))]

    options = {} if factor == 2 else {"factor": factor}  # 2 is the default

    def pool(x: Any) -> Any:
        return ops.average_pool(x, **options)

    def upsample(x: Any) -> Any:
        return ops.upsample(x, size=None if cut == large else cut, **options)

    pooled = compare(case, pool, mean, case.rng.standard_normal((2, *large, 2)))
    copied = compare(case, upsample, copies, case.rng.standard_normal((2, *space, 2)))
    names = ("average-pool", "average-pool-pullback", "upsample", "upsample-pullback")
    return dict(zip(names, (*pooled, *copied), strict=True))


@check("space-to-depth", "depth-to-space", method="index by index", tolerance=0.0, cases=6)
def space_and_depth_by_indices(case: Case) -> float:
    """Element f o + k of channel c moves to o of channel (k, c), and back."""
    space, factor = case.choose([((2, 3), 2), ((3,), 3), ((1, 2, 2), 2)])
    wide = case.normal((2, *(n * factor for n in space), 3))
    host: Any = to_host(wide)
    expected: Any = np.zeros((2, *space, factor ** len(space) * 3))
    for o, k in _cells(space, factor):
        position = sum(j * factor ** (len(space) - 1 - axis) for axis, j in enumerate(k))
        there = (slice(None), *(factor * i + j for i, j in zip(o, k, strict=True)))
        expected[(slice(None), *o, slice(3 * position, 3 * position + 3))] = host[there]
    options = {} if factor == 2 else {"factor": factor}  # 2 is the default
    deep, deep_pullback = ops.space_to_depth(wide, **options)
    back, back_pullback = ops.depth_to_space(deep, **options)
    pairs = [
        (deep, expected),
        (back, host),
        (deep_pullback(deep)[0], host),
        (back_pullback(wide)[0], deep),
    ]
    return max(relative(a, b) for a, b in pairs)
