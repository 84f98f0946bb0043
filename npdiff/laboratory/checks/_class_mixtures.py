"""Mixtures of two Gaussians as classes, for real and complex x, for the checks of guidance."""

import math
from collections.abc import Callable

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.denoiser import Denoise
from npdiff.exact import Gaussian, Mixture
from npdiff.laboratory.registry import Case
from npdiff.schedules import SCHEDULES, Schedule

#: Weights, means and variances of two mixtures in two dimensions.
BROAD = ([0.3, 0.7], [[-0.9, 0.4], [0.8, 1.1]], [0.5, 0.2])


NARROW = ([0.6, 0.4], [[1.2, 0.1], [0.3, -0.7]], [0.3, 0.1])


Parts = tuple[list[float], list[list[float]], list[float]]


def mixture(parts: Parts) -> Mixture:
    weights, means, variances = parts
    return Mixture(
        weights, [Gaussian(np.array(m), v) for m, v in zip(means, variances, strict=True)]
    )


def log_joint(parts: Parts, scales: tuple[float, float], x: np.ndarray) -> np.ndarray:
    """log of weight times density at x_t of every component, (N, K); x may be complex."""
    weights, means, variances = (np.array(p) for p in parts)
    alpha, sigma = scales
    total = alpha**2 * variances + sigma**2
    square = ((x[:, None, :] - alpha * means) ** 2).sum(axis=-1)
    return np.log(weights) - 0.5 * square / total - np.log(2.0 * np.pi * total)


def log_density(parts: Parts, scales: tuple[float, float], x: np.ndarray) -> np.ndarray:
    joint = log_joint(parts, scales, x)
    top = joint.real.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(joint - top).sum(axis=1))


def log_class(parts: Parts, scales: tuple[float, float], x: np.ndarray, k: int) -> np.ndarray:
    return log_joint(parts, scales, x)[:, k] - log_density(parts, scales, x)


def gradient(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """The gradient of f at each row of x, by complex steps."""
    columns = []
    for i in range(x.shape[1]):
        step = x.astype(complex)
        step[:, i] += 1e-30j
        columns.append(f(step).imag / 1e-30)
    return np.stack(columns, axis=1)


def time_in_schedule(case: Case) -> tuple[Schedule, float, tuple[float, float]]:
    """The schedule of this case, a time with signal and noise, and (alpha, sigma) there."""
    schedule = case.choose([make() for make in SCHEDULES.values()])
    t = float(schedule.t_max * case.rng.uniform(0.1, 0.9))
    return schedule, t, (float(schedule.alpha(t)), float(schedule.sigma(t)))


def scores(schedule: Schedule, denoise: Denoise, x: Array, t: float) -> np.ndarray:
    """The score computed from eps_hat and from x0_hat."""
    x_0, eps = (to_host(a) for a in denoise(x, t))
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    return np.stack([-eps / sigma, (alpha * x_0 - to_host(x)) / sigma**2])


def points(case: Case, scales: tuple[float, float], rows: int = 5) -> Array:
    size = math.hypot(*scales)
    return case.array(size * (0.3 + 1.1 * case.rng.standard_normal((rows, 2))))
