"""Checks of the variance-exploding schedules."""

import math

import numpy as np

from npdiff.laboratory.checks.schedules._integrals import integral, scales
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import EDM, VE


@check("exploding-variance", method="quadrature of the SDE's g^2", tolerance=1e-12, cases=6)
def ve_by_quadrature(case: Case) -> float:
    """sigma^2 as the integral of (sigma_min r^t sqrt(2 log r))^2, also at t_min; alpha = 1."""
    low, high = case.choose([(0.01, 50.0), (0.3, 4.0)])
    schedule = VE() if low == 0.01 else VE(low, high)
    t, r = float(case.rng.uniform(0.01, 1.0)), high / low

    def g_squared(u: np.ndarray) -> np.ndarray:
        return (low * r**u * math.sqrt(2.0 * math.log(r))) ** 2

    added = math.sqrt(integral(g_squared, 0.0, t))
    first = math.sqrt(integral(g_squared, 0.0, schedule.t_min))
    found = np.array([schedule.alpha(t), schedule.sigma(t) / added, first / low])
    return relative(found, np.ones(3))


@check("edm-schedule", method="quadrature of 2 t", tolerance=1e-13, cases=4)
def edm_by_quadrature(case: Case) -> float:
    """The variance that g^2 = 2 t adds is t^2, in sigma and its logarithm; alpha = 1."""
    low, high = case.choose([(0.002, 80.0), (0.1, 7.0)])
    schedule = EDM() if low == 0.002 else EDM(sigma_max=high, sigma_min=low)
    t = float(case.rng.uniform(low, high))
    sigma = math.sqrt(integral(lambda u: 2.0 * u, 0.0, t))
    found = [*scales(schedule, t), np.exp(schedule.log_sigma(t)), schedule.t_min, schedule.t_max]
    return relative(np.array(found), np.array([1.0, sigma, sigma, low, high]))
