"""Mean and variance of ancestral sampling on normal data, from its responses to unit inputs."""

from typing import Any

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.registry import Case
from npdiff.samplers import ddpm
from npdiff.schedules import Schedule


def means_and_variances(
    case: Case, schedule: Schedule, timesteps: np.ndarray, c: float, variance: Any
) -> list[tuple[float, float]]:
    """Mean and variance of every state that ancestral sampling visits.

    With the exact denoiser of N(m, c) each step is affine in (x, z). Row 0 starts at the mean; each
    other row differs from it in one input: the deviation of the start, or the noise of one step.
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
