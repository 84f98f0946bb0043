"""Checks of the predictor-corrector sampler."""

import math

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.checks.samplers._gaussian import PLANE, a_schedule, inner_time
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import predictor_corrector
from npdiff.schedules import SCHEDULES


@check(
    "langevin-step",
    method="the stationary distribution of a linear recursion",
    tolerance=1e-10,
    cases=2 * len(SCHEDULES),
)
def langevin_stationary_distribution(case: Case) -> float:
    """After many corrections, from any start: mean alpha m, variance V / (1 - r^2 sigma^2 / V)."""
    schedule, (m, c), r = a_schedule(case), (0.7, 0.4), case.choose([0.3, 0.45, 0.6])
    s = inner_time(case, schedule)
    t = 0.5 * (s + schedule.t_max)
    a, sigma = float(schedule.alpha(s)), float(schedule.sigma(s))
    V = a**2 * c + sigma**2
    corrections = math.ceil(14.0 * V / (r * sigma) ** 2)
    rows = corrections + 3

    def impulse(i: int) -> np.ndarray:
        return case.array((np.arange(rows) == i + 2)[:, None] * 1.0)

    x = np.full((rows, 1), 3.0)
    x[1] += 1.0
    (step,) = predictor_corrector(
        Gaussian([m], c).denoiser(schedule), schedule, case.array(x), np.array([t, s]),
        snr=r, corrections=corrections, noise=impulse,
    )  # fmt: skip
    found = to_host(step.x)[:, 0]
    variance = float(((found[1:] - found[0]) ** 2).sum())
    stationary = V / (1.0 - (r * sigma) ** 2 / V)
    return max(abs(found[0] - a * m) / math.sqrt(V), abs(variance / stationary - 1.0))


@check("langevin-step", method="loops over each draw", tolerance=1e-11, cases=2 * len(SCHEDULES))
def predictor_corrector_by_loops(case: Case) -> float:
    """Ancestral step by Bayes' precisions, corrections along the score, draws in order."""
    schedule, r = a_schedule(case), case.rng.uniform(0.1, 0.5)
    timesteps = np.array([0.9, 0.6, 0.3, 0.0]) * schedule.t_max
    draws, x = case.rng.normal(size=(9, 4, 2)), case.normal((4, 2))
    found = predictor_corrector(
        PLANE.denoiser(schedule), schedule, x, timesteps,
        snr=r, corrections=2, noise=lambda i: case.array(draws[i]),
    )  # fmt: skip
    worst = 0.0
    for i, step in enumerate(found):
        t, s = timesteps[i], timesteps[i + 1]
        x_0 = PLANE.denoised(schedule, x, t)
        a, v = float(schedule.alpha(s)), float(schedule.sigma(s)) ** 2
        if s == 0.0:
            x = x_0
        else:
            kept = float(schedule.alpha(t) / schedule.alpha(s))
            added = float(schedule.sigma(t)) ** 2 - kept**2 * v
            variance = 1.0 / (1.0 / v + kept**2 / added)
            x = variance * (a * x_0 / v + kept * x / added)
            x = x + math.sqrt(variance) * case.array(draws[3 * i])
            for j in (1, 2):
                size = 2.0 * r**2 * v
                noise = math.sqrt(2.0 * size) * case.array(draws[3 * i + j])
                x = x + size * PLANE.score(schedule, x, s) + noise
        worst = max(worst, relative(step.x, x))
    return worst
