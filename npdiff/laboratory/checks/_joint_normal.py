"""TODO Checks of the reverse variances, and of ancestral sampling with each of them."""

from typing import Any

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.registry import Case
from npdiff.samplers import ddpm
from npdiff.schedules import Schedule


def laws(
    case: Case, schedule: Schedule, timesteps: np.ndarray, c: float, variance: Any
) -> list[tuple[float, float]]:
    """Mean and variance of all that ancestral sampling visits, from its responses to impulses.

    With the exact denoiser of N(m, c) each step is affine in (x, z). Row 0 starts at the mean, the
    others are off it by one input each: the start's deviation, or one step's noise.
    """
    m, count = 0.7, len(timesteps) - 1
    denoise = Gaussian([m], c).denoiser(schedule)
    a, v = float(schedule.alpha(timesteps[0])), float(schedule.sigma(timesteps[0])) ** 2
    x = np.full((count + 2, 1), a * m)
    x[1] += np.sqrt(a**2 * c + v)

    def impulse(i: int) -> np.ndarray:
        return case.array((np.arange(count + 2) == i + 2)[:, None] * 1.0)

    found = []
    for step in ddpm(denoise, schedule, case.array(x), timesteps, variance=variance, noise=impulse):
        rows = to_host(step.x)[:, 0]
        found.append((rows[0], ((rows[1:] - rows[0]) ** 2).sum()))
    return found
