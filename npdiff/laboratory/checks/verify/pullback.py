"""Checks of the pullback checker: known errors, and where it is exact."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.laboratory.registry import Case, check
from npdiff.verify._pullback import pullback


@check("pullback-check", method="pullbacks wrong by a known factor", tolerance=1e-8, cases=3)
def error_of_a_known_mistake(case: Case) -> float:
    """The error of a gradient too large by c is c / (1 + c) times the same value for every c."""
    w = case.rng.standard_normal((4, 3))
    x = case.rng.standard_normal((2, 4))

    def error(c: float) -> float:
        def cubed(x: np.ndarray) -> tuple[np.ndarray, Any]:
            return x**3 @ w, lambda dy: ((1.0 + c) * 3.0 * x**2 * (dy @ w.T),)

        return pullback(cubed, x, seed=case.index).worst

    scaled = [error(c) * (1.0 + c) / c for c in (0.5, 3.0)]
    return max(error(0.0), abs(scaled[0] / scaled[1] - 1.0), float(scaled[0] < 1e-3))


def power_with_error(error: Any = 0.0, power: int = 3) -> Callable[[np.ndarray], Any]:
    """A power of every element, with ``error`` added to its gradient."""

    def f(x: np.ndarray) -> Any:
        return x**power, lambda dy: (power * x ** (power - 1) * dy + error,)

    return f


@check("pullback-check", method="an error of known size", tolerance=1e-9)
def known_error_is_reported(case: Case) -> float:
    """The reported error is that along the largest direction, in units of the gradient."""
    x, size = 1.0 + case.rng.uniform(0.0, 1.0, (3, 4)), case.choose([1e-1, 1e-3, 1e-5, 1.0])
    error = np.zeros((3, 4))
    error[1, 2] = size
    report = pullback(power_with_error(error), x, seed=case.index, directions=3)
    draws = np.random.default_rng(case.index)
    dy = draws.standard_normal((3, 4))
    directions = [draws.standard_normal((3, 4)) for _ in range(3)]
    length = np.linalg.norm(3.0 * x**2 * dy + error)
    expected = max(abs(size * u[1, 2]) for u in directions) / length
    return max(abs(report.worst - expected), abs(report.gradients[0].norm / length - 1.0))


@check(
    "pullback-check",
    method="polynomials: exact to degree 4, known error at degree 5",
    tolerance=1e-10,
)
def difference_is_of_fourth_order(case: Case) -> float:
    """No error for a quartic; 4 h^4 u^5 for a quintic, from its fifth derivative."""
    x, h = case.rng.uniform(1.0, 2.0, (1,)), 0.02
    quartic = pullback(power_with_error(power=4), x, step=h, directions=1, seed=case.index).worst
    quintic = pullback(power_with_error(power=5), x, step=h, directions=1, seed=case.index).worst
    draws = np.random.default_rng(case.index)
    dy, u = draws.standard_normal(1), draws.standard_normal(1)
    step = h / max(1.0, abs(u[0]))
    expected = abs(4.0 * step**4 * u[0] ** 5 * dy[0]) / abs(5.0 * x[0] ** 4 * dy[0])
    return max(quartic, abs(quintic - expected))
