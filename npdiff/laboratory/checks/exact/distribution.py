"""Checks of what all exact distributions share: scores, Jacobians, posterior variance, entropy."""

from collections.abc import Callable

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import FiniteData, Gaussian, Uniform
from npdiff.laboratory.checks._exact_data import (
    LINE,
    ONE,
    PLANE,
    POINTS,
    WEIGHTS,
    Textbook,
    fine_rule,
    noisy,
    scales,
    schedule_and_time,
)
from npdiff.laboratory.checks._schedules import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import SCHEDULES, LinearVP

Log = Callable[[np.ndarray], np.ndarray]


def gradient(f: Log, x: np.ndarray, h: float = 1e-30) -> np.ndarray:
    """The gradient of f at each row of x, by the complex step."""
    steps = 1j * h * np.eye(x.shape[1])
    return np.stack([f(x + step).imag / h for step in steps], axis=-1)


def along(f: Log, axis: int) -> Log:
    """One component of the output of f."""
    return lambda x: f(x)[:, axis]


@check(
    "tweedie",
    "second-order-tweedie",
    "denoiser-jacobian",
    method="complex step",
    tolerance=1e-7,
    cases=len(SCHEDULES),
)
def derivatives_by_complex_step(case: Case) -> dict[str, float]:
    """Score and Hessian against derivatives of log q; the Jacobian against the denoiser's."""
    schedule, t, alpha, sigma = schedule_and_time(case)
    prior = case.choose([ONE, PLANE, PLANE])
    data, q = prior.exact(), prior.at(alpha, sigma)
    x = noisy(case, case.rng.standard_normal((4, 2)) * 0.8, alpha, sigma)
    at = case.array(x)
    score = gradient(q.log_density, x)
    hessian = np.stack([gradient(along(q.score, k), x) for k in (0, 1)], axis=1)
    # x_0 = (x + sigma^2 score) / alpha
    jacobian = (np.eye(2) + sigma**2 * hessian) / alpha
    x_0, eps = data.denoiser(schedule)(at, t)
    sums = relative(alpha * to_host(x_0) + sigma * to_host(eps), x)
    return {
        "tweedie": max(
            sums,
            relative(data.score(schedule, at, t), score),
            relative(-to_host(eps) / sigma, score),
        ),
        "second-order-tweedie": relative(data.hessian(schedule, at, t), hessian),
        "denoiser-jacobian": relative(data.jacobian(schedule, at, t), jacobian),
    }


def mean_squared_error(mixture: Textbook, alpha: float, sigma: float) -> float:
    """tr Var[x_0] - tr Var[E[x_0 | x_t]] on the line, the mean by Tweedie's formula on a grid."""
    q = mixture.at(alpha, sigma)
    around = [(m, d) for m, d in zip(q.means[:, 0], np.sqrt(q.covariances[:, 0, 0]), strict=True)]
    low = min(m - 11.0 * d for m, d in around)
    x, weights = fine_rule(low, max(m + 11.0 * d for m, d in around), *around)
    p = weights * np.exp(q.log_density(x[:, None]))
    mean = (x + sigma**2 * q.score(x[:, None])[:, 0]) / alpha
    total = mixture.weights @ (mixture.covariances[:, 0, 0] + mixture.means[:, 0] ** 2)
    return float(total - p @ mean**2)


@check(
    "mean-posterior-variance",
    "gaussian-posterior-variance",
    method="the law of total variance",
    tolerance=1e-8,
    cases=len(SCHEDULES),
)
def posterior_variance_by_total_variance(case: Case) -> dict[str, float]:
    """The variance of the data minus that of their estimate: a mixture, a Gaussian, a box."""
    schedule = a_schedule(case)
    t = float(timesteps(case, schedule, 3)[1 + case.index % 2])
    alpha, sigma = scales(schedule, t)
    box = Uniform([-0.7, 0.2], [1.6, 0.5])
    total = 0.0
    for low, high in zip(box.low, box.high, strict=True):
        side = Uniform(low, high)
        x, weights = fine_rule(
            alpha * low - 11.0 * sigma,
            alpha * high + 11.0 * sigma,
            (alpha * low, sigma),
            (alpha * high, sigma),
        )
        p = weights * np.exp(side.log_density(schedule, x[:, None], t))
        mean = side.denoised(schedule, x[:, None], t)[:, 0] - 0.5 * (low + high)
        total += 0.5 * ((high - low) ** 2 / 12.0 - p @ mean**2)
    normal = Textbook(np.ones(1), np.array([[0.7]]), np.array([[[0.5]]]))
    return {
        "mean-posterior-variance": max(
            relative(
                LINE.exact().mean_posterior_variance(schedule, t),
                mean_squared_error(LINE, alpha, sigma),
            ),
            relative(box.mean_posterior_variance(schedule, t), total),
        ),
        "gaussian-posterior-variance": relative(
            normal.exact().mean_posterior_variance(schedule, t),
            mean_squared_error(normal, alpha, sigma),
        ),
    }


@check("differential-entropy", method="a sum of -q log q over the plane", tolerance=1e-9, cases=1)
def entropy_on_a_grid(case: Case) -> float:
    """A mixture of three correlated Gaussians."""
    axis = np.linspace(-6.0, 6.0, 601)
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    logs = PLANE.log_density(x)
    return abs(PLANE.exact().entropy() + (np.exp(logs) * logs).sum() * (axis[1] - axis[0]) ** 2)


@check(
    "mean-posterior-variance",
    "differential-entropy",
    method="independent coordinates, added up",
    tolerance=0.03,
    cases=1,
)
def means_over_draws(case: Case) -> dict[str, float]:
    """Three dimensions, where Monte Carlo replaces quadrature: a plane and a line, added up."""
    schedule = LinearVP()
    t, third = float(schedule.time_at(1.0)), Gaussian([0.4], 0.3)
    m, C = (np.zeros((3, 3)), np.zeros((3, 3, 3)))
    m[:, :2], m[:, 2], C[:, :2, :2], C[:, 2, 2] = PLANE.means, 0.4, PLANE.covariances, 0.3
    space, plane = Textbook(PLANE.weights, m, C).exact(), PLANE.exact()
    flat, points = (FiniteData(p, WEIGHTS) for p in (np.pad(POINTS, ((0, 0), (0, 1))), POINTS))
    many = FiniteData(
        np.repeat(POINTS, 9, axis=0), np.repeat(WEIGHTS, 9)
    )  # more dimensions than a quadrature rule covers
    box = Uniform([-0.7, 0.2], [1.6, 0.5])
    x, weights = box.nodes(schedule, t)
    alpha = float(schedule.alpha(t))
    return {
        "mean-posterior-variance": max(
            relative(
                3.0 * space.mean_posterior_variance(schedule, t),
                2.0 * plane.mean_posterior_variance(schedule, t)
                + third.mean_posterior_variance(schedule, t),
            ),
            relative(
                3.0 * flat.mean_posterior_variance(schedule, t),
                2.0 * points.mean_posterior_variance(schedule, t),
            ),
            relative(
                many.mean_posterior_variance(schedule, t),
                points.mean_posterior_variance(schedule, t),
            ),
            relative(weights @ x, alpha * np.array([0.45, 0.35])),
        ),
        "differential-entropy": abs(space.entropy() - plane.entropy() - third.entropy()),
    }
