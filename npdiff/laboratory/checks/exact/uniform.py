"""Checks of the uniform distribution on a box."""

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Uniform
from npdiff.laboratory.checks._exact_data import BOX, fine_rule, schedule_and_time
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import SCHEDULES, LinearVP


@check(
    "uniform-denoiser",
    "uniform-covariance",
    "uniform-density",
    method="quadrature of Bayes' rule over the box",
    tolerance=1e-10,
    cases=21,
)
def uniform_by_quadrature(case: Case) -> dict[str, float]:
    """Moments and density in the middle, at an edge, and up to 25 standard deviations outside."""
    schedule, t, alpha, sigma = schedule_and_time(case)
    low, high = np.array([-0.7, 0.2]), np.array([1.6, 0.5])
    data = Uniform(low, high)
    place = case.choose([0.4, 1.0, -2.0, 0.0, 12.0, -25.0, 1.0])
    x = alpha * (low + min(max(place, 0.0), 1.0) * (high - low))
    x = x + sigma * (place - min(max(place, 0.0), 1.0) + 0.3 * case.rng.standard_normal(2))
    mean, variance, log_q = np.empty(2), np.empty(2), 0.0
    for d in range(2):
        steep = sigma**2 / alpha / max(abs(x[d] - alpha * low[d]), abs(x[d] - alpha * high[d]))
        width = min(sigma / alpha, steep)
        x_0, w = fine_rule(
            low[d], high[d], (low[d], width), (high[d], width), (x[d] / alpha, sigma / alpha)
        )
        logs = -0.5 * ((x[d] - alpha * x_0) / sigma) ** 2
        p = w * np.exp(logs - logs.max())
        mean[d] = p @ x_0 / p.sum()
        variance[d] = p @ (x_0 - mean[d]) ** 2 / p.sum()
        norm = np.sqrt(2.0 * np.pi) * sigma * (high[d] - low[d])
        log_q += logs.max() + np.log(p.sum() / norm)
    at = case.array(x[None])
    found = to_host(data.covariance(schedule, at, t))[0]
    return {
        "uniform-denoiser": relative(data.denoised(schedule, at, t), mean[None]),
        "uniform-covariance": max(relative(found[d, d], variance[d]) for d in range(2))
        + abs(found[0, 1]),
        "uniform-density": relative(to_host(data.log_density(schedule, at, t))[0], log_q),
    }


@check(
    "uniform-denoiser",
    "uniform-covariance",
    "uniform-density",
    method="the printed formulas",
    tolerance=1e-10,
    cases=6,
)
def uniform_by_the_printed_formulas(case: Case) -> dict[str, float]:
    """Where nothing cancels: noise of a third to three times the length of the segment."""
    from scipy.special import ndtr

    schedule = SCHEDULES["edm"]()
    a, b = -0.7, 1.6
    sigma, data = case.choose([0.8, 1.5, 4.0]), Uniform(a, b)
    x = case.rng.uniform(-2.0, 3.0, (5, 1))
    A, B = (a - x) / sigma, (b - x) / sigma  # alpha is 1

    def phi(z: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)

    mass = ndtr(B) - ndtr(A)
    shift = (phi(A) - phi(B)) / mass
    variance = sigma**2 * (1.0 + (A * phi(A) - B * phi(B)) / mass - shift**2)
    at = case.array(x)
    return {
        "uniform-denoiser": relative(data.denoised(schedule, at, sigma), x + sigma * shift),
        "uniform-covariance": relative(data.covariance(schedule, at, sigma), variance[:, :, None]),
        "uniform-density": relative(
            data.log_density(schedule, at, sigma), np.log(mass / (b - a))[:, 0]
        ),
    }


@check("uniform-density", method="one over the volume of the box", tolerance=1e-13)
def density_of_the_box(case: Case) -> float:
    """At t = 0: minus the log of the volume inside, minus infinity outside."""
    x = np.array([[0.3, 0.4], [1.5, 0.21], [1.7, 0.3], [0.0, 0.1], [0.0, 0.6]])
    found = to_host(BOX.log_density(LinearVP(), case.array(x), 0.0))
    outside = float((found[2:] != -np.inf).any())
    return max(outside, relative(found[:2], np.full(2, -np.log(2.3 * 0.3))))
