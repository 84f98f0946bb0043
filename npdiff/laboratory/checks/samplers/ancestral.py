"""Checks of the Euler and DPM2 ancestral samplers."""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from npdiff.laboratory.checks.samplers._scaled import arbitrary_eps, error_against_loop
from npdiff.laboratory.checks.samplers._weak_order import weak_order_error
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers.ancestral import ancestral_split
from npdiff.schedules import SCHEDULES


@check("ancestral-split", method="sum of precisions", tolerance=1e-10)
def split_by_precisions(case: Case) -> float:
    """At eta = 1 sigma_up is the deviation of z_s given z and x_0; eta scales it."""
    u = case.rng.uniform(1.0, 9.0)
    u_s = case.rng.uniform(0.1, 0.9) * u
    eta = case.rng.uniform(0.1, 0.9)
    variance = 1.0 / (1.0 / u_s**2 + 1.0 / (u**2 - u_s**2))
    (down, up), (down_less, up_less) = ancestral_split(u, u_s, 1.0), ancestral_split(u, u_s, eta)
    return max(
        relative(up**2, variance),
        relative(up_less**2, eta**2 * variance),
        relative(down**2 + up**2, u_s**2),
        relative(down_less**2 + up_less**2, u_s**2),
    )


def sigma_down_up(u: float, u_s: float, eta: float) -> tuple[float, float]:
    """sigma_down and sigma_up as k-diffusion computes them."""
    up = min(u_s, eta * math.sqrt(u_s**2 * (u**2 - u_s**2) / u**2))
    return math.sqrt(max(u_s**2 - up**2, 0.0)), up


@check(
    "euler-ancestral-step",
    method="a loop in k-diffusion's symbols",
    tolerance=1e-9,
    cases=3 * len(SCHEDULES),
)
def euler_ancestral_by_a_loop(case: Case) -> float:
    """Euler's step down, noise up, with several eta."""
    eta = case.choose([1.0, 0.6, 0.0])

    def loop(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        for (u, end), draw in zip(pairwise(us), draws, strict=True):
            down, up = sigma_down_up(u, end, eta)
            z = z + arbitrary_eps(z, u) * (down - u) + up * draw
            yield z

    return error_against_loop(case, "euler-ancestral", loop, eta=eta)


@check(
    "dpm2-ancestral-step",
    method="a loop in k-diffusion's symbols",
    tolerance=1e-9,
    cases=3 * len(SCHEDULES),
)
def dpm2_ancestral_by_a_loop(case: Case) -> float:
    """The midpoint step down, noise up, with several eta."""
    eta = case.choose([1.0, 0.6, 0.0])

    def loop(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        for (u, end), draw in zip(pairwise(us), draws, strict=True):
            down, up = sigma_down_up(u, end, eta)
            d = arbitrary_eps(z, u)
            if down > 0.0:
                middle = math.exp(0.5 * (math.log(u) + math.log(down)))
                d = arbitrary_eps(z + d * (middle - u), middle)
            z = z + d * (down - u) + up * draw
            yield z

    return error_against_loop(case, "dpm2-ancestral", loop, eta=eta)


@check("euler-ancestral-step", method="mean and variance, steps doubled", tolerance=0.15, cases=2)
def weak_order_of_euler_ancestral(case: Case) -> float:
    """Mean and variance converge with order 1, for any eta."""
    return weak_order_error(case, "euler-ancestral", 1.0, eta=case.choose([1.0, 0.6]))


@check("dpm2-ancestral-step", method="mean and variance, steps doubled", tolerance=0.15, cases=2)
def weak_order_of_dpm2_ancestral(case: Case) -> float:
    """Mean and variance converge with order 2, for any eta: the added noise is exact."""
    return weak_order_error(case, "dpm2-ancestral", 2.0, eta=case.choose([1.0, 0.6]))
