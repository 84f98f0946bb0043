"""Checks of group and layer normalization."""

from typing import Any

import numpy as np

from npdiff import ops
from npdiff.laboratory.checks import _textbook as textbook
from npdiff.laboratory.complex_step import compare
from npdiff.laboratory.registry import Case, check, relative

SPACES: list[tuple[int, ...]] = [(3,), (2, 2), (), (2, 1, 3)]


@check("group-norm", "group-norm-pullback", method="group by group, complex step", tolerance=1e-12)
def group_norm_by_loops(case: Case) -> dict[str, float]:
    """Mean and variance of one group of one sample at a time."""
    groups, eps = case.choose([(2, 1e-5), (1, 0.3), (2, 0.1), (3, 1e-3)])
    shape = (2, *case.choose(SPACES), 6)
    x = case.choose([0.0, 2.0, 3.0, -1.0]) + 1.5 * case.rng.standard_normal(shape)
    gamma, beta = 1.0 + case.rng.standard_normal((2, 6))

    def op(x: Any, gamma: Any, beta: Any) -> Any:
        return ops.group_norm(x, gamma, beta, groups=groups, eps=eps)

    def f(x: Any, gamma: Any, beta: Any) -> Any:
        return textbook.group_norm(x, gamma, beta, groups, eps)

    value, slope = compare(case, op, f, x, gamma, beta)
    return {"group-norm": value, "group-norm-pullback": slope}


@check("layer-norm", "layer-norm-pullback", method="row by row, complex step", tolerance=1e-12)
def layer_norm_by_loops(case: Case) -> dict[str, float]:
    """Mean and variance of the channels of one position at a time."""
    eps = case.choose([1e-5, 0.3, 0.1, 1e-3])
    x = 1.0 + 1.5 * case.rng.standard_normal((2, *case.choose(SPACES), 5))
    gamma, beta = 1.0 + case.rng.standard_normal((2, 5))

    def op(x: Any, gamma: Any, beta: Any) -> Any:
        return ops.layer_norm(x, gamma, beta, eps=eps)

    def f(x: Any, gamma: Any, beta: Any) -> Any:
        return textbook.layer_norm(x, gamma, beta, eps)

    value, slope = compare(case, op, f, x, gamma, beta)
    return {"layer-norm": value, "layer-norm-pullback": slope}


@check("group-norm", "layer-norm", method="values so small that eps matters", tolerance=1e-12)
def default_epsilon(case: Case) -> float:
    """Of +-a the mean is 0 and the variance a^2, so the output is a / sqrt(a^2 + 1e-5)."""
    a = case.rng.uniform(1e-3, 1e-2)
    x = case.array(np.array([[a, -a, -a, a]]))
    one, zero = case.array(np.ones(4)), case.array(np.zeros(4))
    expected = np.array([[1.0, -1.0, -1.0, 1.0]]) * a / np.sqrt(a * a + 1e-5)
    found = (ops.group_norm(x, one, zero, groups=1)[0], ops.layer_norm(x, one, zero)[0])
    return max(relative(y, expected) for y in found)
