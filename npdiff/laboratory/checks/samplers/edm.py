"""Checks of EDM's stochastic sampler."""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from npdiff.laboratory.checks.samplers._scaled import arbitrary_eps, error_against_loop
from npdiff.laboratory.checks.samplers._weak_order import weak_order_error
from npdiff.laboratory.registry import Case, check
from npdiff.schedules import SCHEDULES


@check(
    "edm-churn",
    "edm-step",
    method="a loop in the paper's symbols",
    tolerance=1e-10,
    cases=3 * len(SCHEDULES),
)
def edm_by_a_loop(case: Case) -> float:
    """Algorithm 2, with churn below and above its bound and in a part of the noise levels."""
    churn, low, high = case.choose([(0.0, 0.0, math.inf), (1.4, 0.05, 40.0), (9.0, 0.5, math.inf)])
    options = {"s_churn": churn, "s_min": low, "s_max": high, "s_noise": 1.07}
    schedule = SCHEDULES[case.choose(list(SCHEDULES))]()
    with np.errstate(divide="ignore"):
        highest = float(np.divide(schedule.sigma(schedule.t_max), schedule.alpha(schedule.t_max)))

    def loop(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        for (u, down), draw in zip(pairwise(us), draws, strict=True):
            gamma = min(churn / n, math.sqrt(2.0) - 1.0) if low <= u <= high else 0.0
            u_hat = min(u + gamma * u, highest)
            z_hat = z + math.sqrt(u_hat**2 - u**2) * 1.07 * draw
            d = arbitrary_eps(z_hat, u_hat)
            z = z_hat + (down - u_hat) * d
            if down > 0.0:
                z = z_hat + (down - u_hat) * (d + arbitrary_eps(z, down)) / 2.0
            yield z

    return error_against_loop(case, "edm", loop, **options)


@check("edm-step", "edm-churn", method="mean and variance, steps doubled", tolerance=0.15, cases=1)
def weak_order_of_edm(case: Case) -> float:
    """Mean and variance converge with order 2, with churn."""
    return weak_order_error(case, "edm", 2.0, s_churn=4.0)
