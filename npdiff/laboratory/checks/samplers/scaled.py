"""Checks of the ODE in sigma / alpha, and of the pseudo Runge-Kutta steps."""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.checks.samplers._scaled import (
    arbitrary_eps,
    error_against_loop,
    moment_weights,
    problem,
)
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import SAMPLERS
from npdiff.samplers.scaled import advance, noise_ratio, time_at_noise_ratio
from npdiff.schedules import EDM, SCHEDULES


@check(
    "flow-in-sigma",
    method="central differences of the exact flow",
    tolerance=1e-8,
    cases=2 * len(SCHEDULES),
)
def slope_of_the_exact_flow(case: Case) -> float:
    """The slope of x / alpha over sigma / alpha along the flow of normal data is eps_hat."""
    schedule = SCHEDULES[case.choose(list(SCHEDULES))]()
    data = Gaussian([0.6, -0.3], np.array([[0.5, 0.2], [0.2, 0.3]]))
    high = float(schedule.log_snr(schedule.t_min))
    t = float(schedule.time_at(min(high - 1.0, case.rng.uniform(-2.0, 3.0))))
    x, u = case.normal((5, 2)), float(np.exp(-0.5 * schedule.log_snr(t)))
    ends = []
    for part in (-2, -1, 1, 2):
        there = time_at_noise_ratio(schedule, u * (1.0 + 1e-3 * part))
        ends.append(to_host(data.flow(schedule, x, t, there)) / float(schedule.alpha(there)))
    slope = (8.0 * (ends[2] - ends[1]) - (ends[3] - ends[0])) / (12e-3 * u)
    x_0, eps = data.denoiser(schedule)(x, t)
    z = to_host(x) / float(schedule.alpha(t))
    mean = case.normal((5, 2))
    there = advance(x_0, eps, u, 0.4 * u, mean)
    return max(
        relative(eps, slope),
        relative(x_0, z - u * to_host(eps)),
        relative(advance(x_0, eps, u, 0.4 * u), z - 0.6 * u * to_host(eps)),
        relative(there, z - 0.6 * u * to_host(mean)),
        relative(noise_ratio(schedule, t), u),
    )


@check(
    "pseudo-runge-kutta",
    method="a loop in the paper's symbols",
    tolerance=1e-9,
    cases=3 * len(SCHEDULES),
)
def pndm_by_a_loop(case: Case) -> float:
    """Three Runge-Kutta steps through the middle of their times, then even weights by moments."""
    schedule, timesteps = problem(case)
    with np.errstate(divide="ignore"):
        us = (schedule.sigma(timesteps) / schedule.alpha(timesteps)).tolist()
    halves = 0.5 * (timesteps[1:] + timesteps[:-1])
    middles = dict(
        zip(us, (schedule.sigma(halves) / schedule.alpha(halves)).tolist(), strict=False)
    )

    def loop(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        slopes: list[np.ndarray] = []
        for u, down in pairwise(us):
            e, h = arbitrary_eps(z, u), down - u
            slopes.append(e)
            if down > 0.0 and len(slopes) < 4:
                e_2 = arbitrary_eps(z + (middles[u] - u) * e, middles[u])
                e_3 = arbitrary_eps(z + (middles[u] - u) * e_2, middles[u])
                e = (e + 2.0 * e_2 + 2.0 * e_3 + arbitrary_eps(z + h * e_3, down)) / 6.0
            elif down > 0.0:
                weights = moment_weights(-np.arange(4), 1.0)
                e = sum((w * s for w, s in zip(weights, slopes[::-1], strict=False)), 0.0 * e)
            z = z + h * e
            yield z

    return error_against_loop(case, "pndm", loop)


@check("pseudo-runge-kutta", method="exponential series and cubic polynomials", tolerance=1e-12)
def runge_kutta_where_it_is_exact(case: Case) -> float:
    """A step on eps = k z is the exponential series to h^4; a step on a cubic in sigma is exact."""
    schedule, k = EDM(), case.rng.uniform(0.2, 0.6)
    c, p = case.rng.normal(size=4), np.arange(4)
    timesteps, z = np.array([3.0, 2.2, 1.4, 0.6]), case.rng.normal(size=(3, 2))

    def linear(x: Array, t: float) -> tuple[Array, Array]:
        return x - t * (k * x), k * x

    def cubic(x: Array, t: float) -> tuple[Array, Array]:
        eps = x * 0.0 + float(c @ t**p)
        return x - t * eps, eps

    worst = 0.0
    for name, options in (("pndm", {}), ("lms", {"order": 4, "start": "runge-kutta"})):
        factors = [
            sum((k * h) ** j / math.factorial(j) for j in range(5)) for h in np.diff(timesteps)
        ]
        run = SAMPLERS[name]
        found = [
            to_host(step.x) for step in run(linear, schedule, case.array(z), timesteps, **options)
        ]
        worst = max(worst, relative(found, [z * f for f in np.cumprod(factors)]))
        found = [
            to_host(step.x) for step in run(cubic, schedule, case.array(z), timesteps, **options)
        ]
        integral = [c @ ((s ** (p + 1) - 3.0 ** (p + 1)) / (p + 1)) for s in timesteps[1:]]
        worst = max(worst, relative(found, [z + i for i in integral]))
    return worst
