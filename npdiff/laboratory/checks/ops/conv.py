"""Checks of convolution."""

from itertools import product
from typing import Any

import numpy as np

from npdiff import ops
from npdiff.laboratory.checks import _textbook as textbook
from npdiff.laboratory.complex_step import compare
from npdiff.laboratory.registry import Case, check, relative
from npdiff.ops._conv import output_size

#: Space, kernel, stride and padding: one to three axes, different sizes, one side padded.
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


@check("conv-size", method="counting windows", tolerance=0.0, cases=1)
def windows_counted(case: Case) -> float:
    """Every start at which the whole kernel fits, for all small sizes."""
    sizes = product(range(1, 8), range(1, 5), range(1, 4), range(3), range(3))
    return max(
        abs(
            output_size(size, kernel, stride, (before, after))
            - sum(i + kernel <= size + before + after for i in range(0, size + 9, stride))
        )
        for size, kernel, stride, before, after in sizes
        if size + before + after >= kernel
    )


@check(
    "conv",
    "conv-pullback",
    method="window by window, complex step",
    tolerance=1e-12,
    cases=len(CONVOLUTIONS),
)
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


@check("conv", "conv-pullback", method="scipy.signal", tolerance=1e-12, cases=2)
def conv_by_scipy(case: Case) -> dict[str, float]:
    """Large enough to need several blocks: SciPy's correlation, and its adjoints."""
    from scipy import signal

    n, c, f, space = 5, 8, 3, case.choose([(30, 26), (700,)])
    kernel = (3,) * len(space)
    x, w = case.rng.standard_normal((n, *space, c)), case.rng.standard_normal((*kernel, c, f))
    y, pullback = ops.conv(case.array(x), case.array(w))
    dy = case.rng.standard_normal(y.shape)
    dx, dw, _ = pullback(case.array(dy))
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
