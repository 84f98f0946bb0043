"""Checks of the exact moments of affine samplers."""

from itertools import pairwise
from typing import Any

import numpy as np

from npdiff.laboratory.registry import Case, check
from npdiff.schedules import LinearVP
from npdiff.verify.moments import exact_moments
from npdiff.verify.problem import NORMAL, TestProblem


@check("affine-moments", method="the recursion of mean and variance", tolerance=1e-12, cases=3)
def moments_of_a_recursion(case: Case) -> float:
    """An autoregression with two draws per step: unit responses, and moments step by step."""
    schedule, timesteps = LinearVP(), np.linspace(1.0, 0.2, 6 + case.index)
    size = timesteps.size - 1
    a, b, c, d = case.rng.uniform(0.3, 1.4, (4, size)) * case.rng.choice([-1, 1], (4, size))

    def autoregression(
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
    found = exact_moments(autoregression, TestProblem(NORMAL, schedule), timesteps, seed=case.index)
    apart = max(abs(found[0] - mean), abs(found[1] - variance)) / max(1.0, abs(mean), variance)
    return max(apart, found[2], float(found[3]))
