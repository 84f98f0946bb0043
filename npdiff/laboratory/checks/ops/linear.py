"""Checks of affine maps, shifts and modulation."""

from typing import Any

import numpy as np

from npdiff import ops
from npdiff.laboratory.complex_step import compare
from npdiff.laboratory.registry import Case, check

SPACES: list[tuple[int, ...]] = [(), (3,), (2, 3), (2, 1, 3)]


@check("linear", "linear-pullback", method="sums over indices, complex step", tolerance=1e-13)
def linear_by_sums(case: Case) -> dict[str, float]:
    """The sum over channels, one product at a time, with and without a bias."""
    bias = case.index % 2 == 0

    def f(x: Any, w: Any, b: Any = None) -> Any:
        y = np.zeros((*x.shape[:-1], w.shape[1]), dtype=complex)
        for at in np.ndindex(*y.shape):
            y[at] = sum(x[at[:-1]][c] * w[c, at[-1]] for c in range(w.shape[0]))
            y[at] += b[at[-1]] if bias else 0.0
        return y

    shapes = [(2, *case.choose(SPACES), 3), (3, 4), *([(4,)] if bias else [])]
    args = [1.0 + case.rng.standard_normal(shape) for shape in shapes]
    value, slope = compare(case, ops.linear, f, *args)
    return {"linear": value, "linear-pullback": slope}


@check("shift", method="element by element, complex step", tolerance=1e-14)
def shift_by_indices(case: Case) -> float:
    """A vector added at every position; value and pullback."""

    def f(x: Any, e: Any) -> Any:
        y = x.astype(complex)
        for at in np.ndindex(*x.shape):
            y[at] += e[at[0], at[-1]]
        return y

    x = case.rng.standard_normal((2, *case.choose(SPACES), 4))
    return max(compare(case, ops.shift, f, x, case.rng.standard_normal((2, 4))))


@check("modulate", "modulate-pullback", method="index by index, complex step", tolerance=1e-14)
def modulate_by_indices(case: Case) -> dict[str, float]:
    """A gain 1 + a and an offset b per sample and channel."""

    def f(x: Any, a: Any, b: Any) -> Any:
        y = np.zeros(x.shape, dtype=complex)
        for at in np.ndindex(*x.shape):
            here = at[0], at[-1]
            y[at] = x[at] + x[at] * a[here] + b[here]
        return y

    x = case.rng.standard_normal((3, *case.choose(SPACES), 2))
    a, b = case.rng.standard_normal((2, 3, 2))
    value, slope = compare(case, ops.modulate, f, x, a, b)
    return {"modulate": value, "modulate-pullback": slope}
