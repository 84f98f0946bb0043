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
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers.ancestral import split


@check("ancestral-split", method="sum of precisions", tolerance=1e-10)
def split_by_precisions(case: Case) -> float:
    """At eta = 1 the way up has the variance of z_s given z and x_0; eta scales its deviation."""
    u = case.rng.uniform(1.0, 9.0)
    u_s = case.rng.uniform(0.1, 0.9) * u
    eta = case.rng.uniform(0.1, 0.9)
    variance = 1.0 / (1.0 / u_s**2 + 1.0 / (u**2 - u_s**2))
    (down, up), (down_less, up_less) = split(u, u_s, 1.0), split(u, u_s, eta)
    return max(
        relative(up**2, variance),
        relative(up_less**2, eta**2 * variance),
        relative(down**2 + up**2, u_s**2),
        relative(down_less**2 + up_less**2, u_s**2),
    )


def ways(u: float, u_s: float, eta: float) -> tuple[float, float]:
    """Down and up as k-diffusion has them."""
    up = min(u_s, eta * math.sqrt(u_s**2 * (u**2 - u_s**2) / u**2))
    return math.sqrt(max(u_s**2 - up**2, 0.0)), up


@check("euler-ancestral-step", method="a loop in k-diffusion's symbols", tolerance=1e-9, cases=34)
def euler_ancestral_by_the_book(case: Case) -> float:
    """Euler's step down, noise up, with each of several eta."""
    eta = case.choose([1.0, 0.6, 0.0])

    def book(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        for (u, end), draw in zip(pairwise(us), draws, strict=True):
            down, up = ways(u, end, eta)
            z = z + slope_of(z, u) * (down - u) + up * draw
            yield z

    return against_the_book(case, "euler-ancestral", book, eta=eta)


@check("dpm2-ancestral-step", method="a loop in k-diffusion's symbols", tolerance=1e-9, cases=34)
def dpm2_ancestral_by_the_book(case: Case) -> float:
    """The midpoint step down, noise up, with each of several eta."""
    eta = case.choose([1.0, 0.6, 0.0])

    def book(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        for (u, end), draw in zip(pairwise(us), draws, strict=True):
            down, up = ways(u, end, eta)
            d = slope_of(z, u)
            if down > 0.0:
                middle = math.exp(0.5 * (math.log(u) + math.log(down)))
                d = slope_of(z + d * (middle - u), middle)
            z = z + d * (down - u) + up * draw
            yield z

    return against_the_book(case, "dpm2-ancestral", book, eta=eta)


@check("euler-ancestral-step", method="mean and variance, steps doubled", tolerance=0.15, cases=2)
def weak_order_of_euler_ancestral(case: Case) -> float:
    """Mean and variance converge with order 1, at any eta."""
    return off(case, "euler-ancestral", 1.0, eta=case.choose([1.0, 0.6]))


@check("dpm2-ancestral-step", method="mean and variance, steps doubled", tolerance=0.15, cases=2)
def weak_order_of_dpm2_ancestral(case: Case) -> float:
    """Mean and variance converge with order 2, at any eta: the way up is exact."""
    return off(case, "dpm2-ancestral", 2.0, eta=case.choose([1.0, 0.6]))
