"""The weak order of the stochastic samplers, without random numbers.

With the exact denoiser of N(m, c) every step is affine in the state and in its noise. The mean of
the result is the result without noise; the variance is the sum of squared responses to one unit of
each noise. Both are compared with those of q at the same time.
"""

from typing import Any

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.registry import Case
from npdiff.samplers import SAMPLERS
from npdiff.schedules import LinearVP

MEAN, VARIANCE = 0.7, 0.3


def moment_errors(case: Case, name: str, steps: int, options: dict[str, Any]) -> np.ndarray:
    """The errors of mean and variance at a positive sigma, with exact moments at the start."""
    schedule, draws = LinearVP(), steps
    timesteps = schedule.time_at(np.linspace(-6.0, 3.0, steps + 1))
    alpha, sigma = schedule.alpha(timesteps[[0, -1]]), schedule.sigma(timesteps[[0, -1]])
    total = alpha**2 * VARIANCE + sigma**2
    x = np.full((draws + 2, 1), alpha[0] * MEAN)
    x[1] += np.sqrt(total[0])

    def impulse(i: int) -> np.ndarray:
        return case.array((np.arange(draws + 2) == i + 2)[:, None] * 1.0)

    denoise = Gaussian([MEAN], VARIANCE).denoiser(schedule)
    *_, last = SAMPLERS[name](denoise, schedule, case.array(x), timesteps, noise=impulse, **options)
    rows = to_host(last.x)[:, 0]
    return np.array([rows[0] - alpha[1] * MEAN, ((rows[1:] - rows[0]) ** 2).sum() - total[1]])


def weak_order_error(case: Case, name: str, order: float, **options: Any) -> float:
    """The deviation of both slopes from the order as N doubles; 0 for an exact moment."""
    coarse, fine = (np.abs(moment_errors(case, name, n, options)) for n in (96, 192))
    return max(
        abs(float(np.log2(a / b)) - order) if a > 1e-12 else 0.0
        for a, b in zip(coarse, fine, strict=True)
    )
