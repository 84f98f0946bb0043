"""Checks of what moves along space: convolution, pooling, upsampling, space and depth."""

from itertools import product
from typing import Any

import numpy as np

from npdiff import ops
from npdiff.backend import to_host
from npdiff.laboratory.checks import textbook
from npdiff.laboratory.complex_step import compare
from npdiff.laboratory.registry import Case, check, relative
from npdiff.ops._conv import output_size

#: Space, kernel, stride and padding: one to three axes, unlike sizes, one side padded.
CONVOLUTIONS: list[tuple[Any, ...]] = [
    ((5,), (3,), 1, None),
    ((3, 4), (3, 2), 2, ((1, 0), (0, 2))),
    ((4, 3), (2, 2), 1, None),
    ((2, 2, 3), (2, 1, 2), 1, 1),
    ((7,), (2,), 3, 1),
    ((2, 3), (1, 1), 1, None),
    ((3, 4), (1, 1), 2, None),
    ((2,), (2,), 1, ((3, 1),)),
    ((2, 3), (1, 1), 1, 1),
    ((3,), (1,), 1, None),
    ((4,), (2,), 1, None),
]


@check("conv-size", route="windows counted", tolerance=0.0, cases=1)
def windows_counted(case: Case) -> float:
    """Every start at which a whole kernel fits, for all small sizes."""
    sizes = product(range(1, 8), range(1, 5), range(1, 4), range(3), range(3))
    return max(
        abs(
            output_size(size, kernel, stride, (before, after))
            - sum(i + kernel <= size + before + after for i in range(0, size + 9, stride))
        )
        for size, kernel, stride, before, after in sizes
        if size + before + after >= kernel
    )


@check("conv", "conv-pullback", route="window by window, complex step", tolerance=1e-12, cases=11)
def conv_by_windows(case: Case) -> dict[str, float]:
    """One window of x against the kernel at a time; all strides and paddings."""
    space, kernel, stride, padding = case.choose(CONVOLUTIONS)
    pads = [(padding, padding)] * len(space) if isinstance(padding, int) else padding

    def op(x: Any, w: Any, b: Any) -> Any:
        return ops.conv(x, w, b, stride=stride, padding=padding)

    def f(x: Any, w: Any, b: Any) -> Any:
        return textbook.conv(x, w, b, stride, pads)

    shapes = [(2, *space, 2), (*kernel, 2, 3), (3,)]
    value, slope = compare(case, op, f, *map(case.rng.standard_normal, shapes))
    return {"conv": value, "conv-pullback": slope}


@check("conv", "conv-pullback", route="scipy.signal", tolerance=1e-12, cases=2)
def conv_by_scipy(case: Case) -> dict[str, float]:
    """Large enough to run in several blocks: SciPy's correlation, and its adjoints."""
    from scipy import signal

    n, c, f, space = 5, 8, 3, case.choose([(30, 26), (700,)])
    kernel = (3,) * len(space)
    x, w = case.rng.standard_normal((n, *space, c)), case.rng.standard_normal((*kernel, c, f))
    y, vjp = ops.conv(case.array(x), case.array(w))
    dy = case.rng.standard_normal(y.shape)
    dx, dw, _ = vjp(case.array(dy))
    padded = np.pad(x, [(0, 0), *[(1, 1)] * len(space), (0, 0)])
    value, right_dx, right_dw = np.zeros(y.shape), np.zeros(x.shape), np.zeros(w.shape)
    for i, j, k in product(range(n), range(f), range(c)):
        tap, image = w[..., k, j], dy[i, ..., j]
        value[i, ..., j] += signal.correlate(padded[i, ..., k], tap, mode="valid", method="direct")
        right_dx[i, ..., k] += signal.convolve(image, tap, mode="same", method="direct")
        right_dw[..., k, j] += signal.correlate(
            padded[i, ..., k], image, mode="valid", method="direct"
        )
    return {
        "conv": relative(y, value),
        "conv-pullback": max(relative(dx, right_dx), relative(dw, right_dw)),
    }


def _cells(space: tuple[int, ...], factor: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every cell o and every place k in it."""
    return list(product(product(*map(range, space)), product(range(factor), repeat=len(space))))


@check(
    "average-pool", "average-pool-pullback", "upsample", "upsample-pullback",
    route="cell by cell, complex step", tolerance=1e-13, cases=6,
)  # fmt: skip
def cells_by_loops(case: Case) -> dict[str, float]:
    """The mean over each cell, and a copy of each number at every place of its cell."""
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

    options = {} if factor == 2 else {"factor": factor}  # 2 is what is taken if nothing is said

    def pool(x: Any) -> Any:
        return ops.average_pool(x, **options)

    def upsample(x: Any) -> Any:
        return ops.upsample(x, size=None if cut == large else cut, **options)

    pooled = compare(case, pool, mean, case.rng.standard_normal((2, *large, 2)))
    copied = compare(case, upsample, copies, case.rng.standard_normal((2, *space, 2)))
    names = ("average-pool", "average-pool-pullback", "upsample", "upsample-pullback")
    return dict(zip(names, (*pooled, *copied), strict=True))


@check("space-to-depth", "depth-to-space", route="index by index", tolerance=0.0, cases=6)
def space_and_depth_by_indices(case: Case) -> float:
    """Where each number goes: f o + k of channel c to o of channel (k, c), and the way back."""
    space, factor = case.choose([((2, 3), 2), ((3,), 3), ((1, 2, 2), 2)])
    wide = case.normal((2, *(n * factor for n in space), 3))
    host: Any = to_host(wide)
    expected: Any = np.zeros((2, *space, factor ** len(space) * 3))
    for o, k in _cells(space, factor):
        number = sum(j * factor ** (len(space) - 1 - axis) for axis, j in enumerate(k))
        there = (slice(None), *(factor * i + j for i, j in zip(o, k, strict=True)))
        expected[(slice(None), *o, slice(3 * number, 3 * number + 3))] = host[there]
    options = {} if factor == 2 else {"factor": factor}  # 2 is what is taken if nothing is said
    deep, deep_vjp = ops.space_to_depth(wide, **options)
    back, back_vjp = ops.depth_to_space(deep, **options)
    pairs = [(deep, expected), (back, host), (deep_vjp(deep)[0], host), (back_vjp(wide)[0], deep)]
    return max(relative(a, b) for a, b in pairs)
