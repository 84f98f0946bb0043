"""TODO Checks of the samplers that work in sigma / alpha, against loops in the symbols of their papers.

The denoiser is made up: nothing in it is linear, and nothing of it is known to the samplers. The
loops know nothing of schedules: they step through sigma with alpha = 1. | Checks of the weak order of the stochastic samplers, without a random number.

With the exact denoiser of N(m, c) every step is affine in the state and in its noise. The mean of
what a sampler ends with is its answer to no noise, and the variance is the sum of the squares of
its answers to one unit of each noise. Both are compared with those of q at the same time."""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from npdiff.laboratory.checks.samplers._scaled import against_the_book, slope_of
from npdiff.laboratory.checks.samplers._weak_order import off
from npdiff.laboratory.registry import Case, check
from npdiff.schedules import SCHEDULES


@check("edm-churn", "edm-step", method="a loop in the paper's symbols", tolerance=1e-10, cases=34)
def edm_by_the_book(case: Case) -> float:
    """Algorithm 2, with churn below and above its bound and in a part of the noise levels."""
    churn, low, high = case.choose([(0.0, 0.0, math.inf), (1.4, 0.05, 40.0), (9.0, 0.5, math.inf)])
    options = {"s_churn": churn, "s_min": low, "s_max": high, "s_noise": 1.07}
    schedule = SCHEDULES[case.choose(list(SCHEDULES))]()
    with np.errstate(divide="ignore"):
        highest = float(schedule.sigma(schedule.t_max) / schedule.alpha(schedule.t_max))

    def book(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        for (u, down), draw in zip(pairwise(us), draws, strict=True):
            gamma = min(churn / n, math.sqrt(2.0) - 1.0) if low <= u <= high else 0.0
            u_hat = min(u + gamma * u, highest)
            z_hat = z + math.sqrt(u_hat**2 - u**2) * 1.07 * draw
            d = slope_of(z_hat, u_hat)
            z = z_hat + (down - u_hat) * d
            if down > 0.0:
                z = z_hat + (down - u_hat) * (d + slope_of(z, down)) / 2.0
            yield z

    return against_the_book(case, "edm", book, **options)


@check("edm-step", "edm-churn", method="mean and variance, steps doubled", tolerance=0.15, cases=1)
def weak_order_of_edm(case: Case) -> float:
    """Mean and variance converge with order 2, churn and all."""
    return off(case, "edm", 2.0, s_churn=4.0)
