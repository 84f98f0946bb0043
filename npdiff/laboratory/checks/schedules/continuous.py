"""Checks of the schedules in continuous time."""

import math

import numpy as np

from npdiff.laboratory.checks.schedules._integrals import integral, scales
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import Cosine, LinearVP, SubVP


@check("linear-vp", method="quadrature of beta(t)", tolerance=1e-13, cases=8)
def linear_vp_by_quadrature(case: Case) -> float:
    """alpha = exp(-1/2 of the integral of beta); sigma from 1 - alpha^2, the same integral."""
    low, high = case.choose([(0.1, 20.0), (0.4, 9.0), (3.0, 3.0)])
    schedule = LinearVP() if (low, high) == (0.1, 20.0) else LinearVP(low, high)
    t = float(case.rng.uniform(0.01, 1.0))
    lost = integral(lambda u: low + u * (high - low), 0.0, t)
    expected = np.array([math.exp(-0.5 * lost), math.sqrt(-math.expm1(-lost))])
    return relative(scales(schedule, t), expected)


@check("sub-vp", method="SciPy's integration of its SDE's variance", tolerance=1e-9, cases=6)
def sub_vp_by_the_moments_of_its_sde(case: Case) -> float:
    """v' = -beta v + beta (1 - exp(-2 of the integral of beta)) from v = 0; also near the data."""
    from scipy.integrate import solve_ivp

    low, high = case.choose([(0.1, 20.0), (0.4, 9.0)])
    schedule = SubVP() if low == 0.1 else SubVP(low, high)
    t = float(case.rng.uniform(0.02, 1.0))

    def rate(u: float, v: np.ndarray) -> np.ndarray:
        beta, total = low + u * (high - low), u * low + 0.5 * u * u * (high - low)
        return -beta * v - beta * np.expm1(-2.0 * total)

    solved = solve_ivp(rate, (0.0, t), [0.0], method="DOP853", rtol=1e-12, atol=1e-18)
    mean = math.exp(-0.5 * integral(lambda u: low + u * (high - low), 0.0, t))
    found = scales(schedule, t)
    variance = solved.y[0, -1]
    return max(relative(found[0], mean), abs(float(found[1]) ** 2 / variance - 1.0))


@check("cosine-alpha-bar", method="its cosines in extended precision", tolerance=1e-11, cases=6)
def cosine_by_its_cosines(case: Case) -> float:
    """alpha-bar(u) as the quotient of two squared cosines, and one minus it; also near the data."""
    s, end = case.choose([(0.008, 0.9946), (0.05, 0.8), (0.0, 0.97)])
    schedule = Cosine() if s == 0.008 else Cosine(s, end)
    t = np.append(case.rng.uniform(0.0, 1.0, 8), 10.0 ** case.rng.uniform(-3.0, -1.0, 4))
    u, quarter = np.longdouble(end) * t.astype(np.longdouble), 2 * np.arctan(np.longdouble(1.0))
    bar = np.cos((u + s) / (1 + np.longdouble(s)) * quarter) ** 2
    bar = bar / np.cos(s / (1 + np.longdouble(s)) * quarter) ** 2
    expected = np.stack([np.sqrt(bar), np.sqrt(1 - bar)]).astype(np.float64)
    return float(np.max(np.abs(scales(schedule, t) / expected - 1.0)))
