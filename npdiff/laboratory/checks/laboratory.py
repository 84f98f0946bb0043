"""Checks of what the laboratory itself computes and asks: moments, gradients, pullbacks."""

from itertools import pairwise
from typing import Any

import numpy as np

from npdiff import ops
from npdiff.backend import to_host
from npdiff.laboratory.registry import Case, check, relative
from npdiff.pullback import gradient_checkpoint
from npdiff.schedules import LinearVP
from npdiff.verify._pullback import pullback
from npdiff.verify.moments import exact_moments
from npdiff.verify.problem import NORMAL, TestProblem


@check("affine-moments", route="the recursion of mean and variance", tolerance=1e-12, cases=3)
def moments_of_a_recursion(case: Case) -> float:
    """An autoregression with two draws a step: its impulses, and its moments step by step."""
    schedule, timesteps = LinearVP(), np.linspace(1.0, 0.2, 6 + case.index)
    size = timesteps.size - 1
    a, b, c, d = case.rng.uniform(0.3, 1.4, (4, size)) * case.rng.choice([-1, 1], (4, size))

    def walk(
        denoise: Any, schedule: Any, x: np.ndarray, timesteps: np.ndarray, *, noise: Any
    ) -> Any:
        for k, _ in enumerate(pairwise(timesteps)):
            x = a[k] * x + b[k] + c[k] * noise(2 * k) + d[k] * noise(2 * k + 1)
        return x

    alpha, sigma = float(schedule.alpha(1.0)), float(schedule.sigma(1.0))
    mean, variance = alpha * 1.5, alpha**2 * 0.25 + sigma**2
    for k in range(size):
        mean = float(a[k] * mean + b[k])
        variance = float(a[k] ** 2 * variance + c[k] ** 2 + d[k] ** 2)
    found = exact_moments(walk, TestProblem(NORMAL, schedule), timesteps, seed=case.index)
    apart = max(abs(found[0] - mean), abs(found[1] - variance)) / max(1.0, abs(mean), variance)
    return max(apart, found[2], float(found[3]))


@check("pullback-check", route="pullbacks wrong by a known factor", tolerance=1e-8, cases=3)
def error_of_a_known_mistake(case: Case) -> float:
    """The error of a gradient too large by c is c / (1 + c) times the same number for every c."""
    w = case.rng.standard_normal((4, 3))
    x = case.rng.standard_normal((2, 4))

    def error(c: float) -> float:
        def cubed(x: np.ndarray) -> tuple[np.ndarray, Any]:
            return x**3 @ w, lambda dy: ((1.0 + c) * 3.0 * x**2 * (dy @ w.T),)

        return pullback(cubed, x, seed=case.index).worst

    scaled = [error(c) * (1.0 + c) / c for c in (0.5, 3.0)]
    return max(error(0.0), abs(scaled[0] / scaled[1] - 1.0), float(scaled[0] < 1e-3))


@check("pullback", route="the whole Jacobian, column by column", tolerance=1e-9, cases=2)
def pullbacks_are_transposes(case: Case) -> float:
    """The rows of a small network's Jacobian, made by pullbacks, and its columns by differences."""
    w, b = case.normal((3, 4)), case.normal((4,))
    gamma, beta = case.normal((4,)), case.normal((4,))

    def network(x: Any) -> tuple[Any, Any]:
        h, linear_vjp = ops.linear(x, w, b)
        h, norm_vjp = ops.group_norm(h, gamma, beta, groups=2)
        y, silu_vjp = ops.silu(h)
        return y, lambda dy: linear_vjp(norm_vjp(silu_vjp(dy)[0])[0])[:1]

    f = network if case.index % 2 == 0 else gradient_checkpoint(network)
    x = case.normal((1, 8, 3))  # groups large enough that none has next to no spread
    y, vjp = f(x)
    units = np.eye(y.size).reshape(-1, *y.shape)
    rows = [to_host(vjp(case.array(unit))[0]).ravel() for unit in units]
    columns = []
    for unit in 1e-3 * np.eye(x.size).reshape(-1, *x.shape):
        step = case.array(unit)
        near, far = (to_host(f(x + k * step)[0] - f(x - k * step)[0]).ravel() for k in (1, 2))
        columns.append((8.0 * near - far) / 12.0 / 1e-3)
    return relative(np.array(rows), np.array(columns).T)
