"""Checks of exact mixtures."""

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Gaussian, Mixture
from npdiff.laboratory.checks._exact_data import (
    LINE,
    PLANE,
    bayes_on_a_grid,
    noisy,
    scales,
    schedule_and_time,
)
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import SCHEDULES, LinearVP


@check("mixture-denoiser", "responsibilities", method="weights with another sum", tolerance=1e-13)
def mixture_weights_are_normalized(case: Case) -> float:
    """Weights 2 and 6 act as 1/4 and 3/4: the density and the denoiser."""
    parts = [Gaussian([-0.8, 0.1], 0.2), Gaussian([0.6, 0.4], 0.5)]
    schedule, x, t = LinearVP(), case.normal((5, 2)), float(case.rng.uniform(0.1, 0.9))
    given, normalized = Mixture([2.0, 6.0], parts), Mixture([0.25, 0.75], parts)
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    density = np.zeros(5)
    for weight, mean, variance in ((0.25, [-0.8, 0.1], 0.2), (0.75, [0.6, 0.4], 0.5)):
        total_variance = alpha**2 * variance + sigma**2
        squares = ((to_host(x) - alpha * np.array(mean)) ** 2).sum(axis=1)
        density += weight * np.exp(-0.5 * squares / total_variance) / (2.0 * np.pi * total_variance)
    return max(
        relative(given.log_density(schedule, x, t), np.log(density)),
        relative(given.denoised(schedule, x, t), normalized.denoised(schedule, x, t)),
    )


@check(
    "mixture-density",
    "responsibilities",
    "mixture-denoiser",
    "mixture-covariance",
    method="Bayes' rule on a grid of x_0",
    tolerance=1e-9,
    cases=len(SCHEDULES),
)
def mixture_by_bayes(case: Case) -> dict[str, float]:
    """Density, responsibilities, mean and covariance against sums of prior times likelihood."""
    schedule, t, alpha, sigma = schedule_and_time(case)
    data = PLANE.exact()
    x = noisy(case, PLANE.means[case.index % 3] * 0.6, alpha, sigma)
    log_q, normalized, mean, covariance = bayes_on_a_grid(PLANE, alpha, sigma, x)
    at = case.array(x[None])
    r = data.responsibilities(schedule, at, t)  # type: ignore[attr-defined]
    return {
        "mixture-density": abs(float(to_host(data.log_density(schedule, at, t))[0]) - log_q),
        "responsibilities": relative(r, normalized[None]),
        "mixture-denoiser": relative(data.denoised(schedule, at, t), mean[None]),
        "mixture-covariance": relative(data.covariance(schedule, at, t), covariance[None]),
    }


@check("mixture-density", "responsibilities", method="the wider component alone", tolerance=1e-12)
def mixture_far_from_the_data(case: Case) -> dict[str, float]:
    """Where every density is 0 in float64: the wider component has probability 1."""
    schedule, t = LinearVP(), 0.05
    alpha, sigma = scales(schedule, t)
    x = case.rng.uniform(40.0, 60.0, (3, 1)) * case.choose([1.0, -1.0])
    data, variance = LINE.exact(), alpha**2 * 0.09 + sigma**2
    expected = np.log(0.6) - 0.5 * (x - alpha * 0.6) ** 2 / variance
    expected = (expected - 0.5 * np.log(2.0 * np.pi * variance))[:, 0]
    r = data.responsibilities(schedule, case.array(x), t)  # type: ignore[attr-defined]
    return {
        "mixture-density": relative(data.log_density(schedule, case.array(x), t), expected),
        "responsibilities": relative(r, np.tile([0.0, 1.0], (3, 1))),
    }
