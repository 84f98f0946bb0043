"""Checks of the schedules in continuous time: each against what its formula comes from."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from npdiff.laboratory.checks.schedules import cubic
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import (
    EDM,
    VE,
    Cosine,
    Laplace,
    Learned,
    LinearVP,
    RectifiedFlow,
    Schedule,
    SubVP,
    shifted_flow,
)

Function = Callable[[np.ndarray], np.ndarray]


def integral(f: Function, low: float, high: float, pieces: int = 8) -> float:
    """The integral of a smooth function, by Gauss and Legendre's rule on each of some pieces."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(low, high, pieces + 1)
    half = 0.5 * (edges[1] - edges[0])
    return float(sum(half * weights @ f(edge + half * (1.0 + nodes)) for edge in edges[:-1]))


def scales(schedule: Schedule, t: float | np.ndarray) -> np.ndarray:
    """alpha and sigma, one under the other."""
    return np.stack([schedule.alpha(t), schedule.sigma(t)])


@check("linear-vp", route="quadrature of beta(t)", tolerance=1e-13, cases=8)
def linear_vp_by_quadrature(case: Case) -> float:
    """alpha = exp(-1/2 of the integral of beta); sigma from 1 - alpha^2, the same integral."""
    low, high = case.choose([(0.1, 20.0), (0.4, 9.0), (3.0, 3.0)])
    schedule = LinearVP() if (low, high) == (0.1, 20.0) else LinearVP(low, high)
    t = float(case.rng.uniform(0.01, 1.0))
    lost = integral(lambda u: low + u * (high - low), 0.0, t)
    expected = np.array([math.exp(-0.5 * lost), math.sqrt(-math.expm1(-lost))])
    return relative(scales(schedule, t), expected)


@check("sub-vp", route="SciPy's integration of its SDE's variance", tolerance=1e-9, cases=6)
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


@check("cosine-alpha-bar", route="its cosines in extended precision", tolerance=1e-11, cases=6)
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


@check("exploding-variance", route="quadrature of the SDE's g^2", tolerance=1e-12, cases=6)
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


@check("edm-schedule", route="quadrature of 2 t", tolerance=1e-13, cases=4)
def edm_by_quadrature(case: Case) -> float:
    """The variance that g^2 = 2 t adds is t^2, in sigma and its logarithm; alpha = 1."""
    low, high = case.choose([(0.002, 80.0), (0.1, 7.0)])
    schedule = EDM() if low == 0.002 else EDM(sigma_max=high, sigma_min=low)
    t = float(case.rng.uniform(low, high))
    sigma = math.sqrt(integral(lambda u: 2.0 * u, 0.0, t))
    found = [*scales(schedule, t), np.exp(schedule.log_sigma(t)), schedule.t_min, schedule.t_max]
    return relative(np.array(found), np.array([1.0, sigma, sigma, low, high]))


@check("rectified-flow", "flow-shift", route="exact fractions", tolerance=1e-14, cases=8)
def flow_by_fractions(case: Case) -> dict[str, float]:
    """1 - u and u, u = k t / (1 + (k - 1) t); shifted twice is shifted by the product."""
    k = case.choose([Fraction(1), Fraction(3), Fraction(2, 5), Fraction(7, 2)])
    named = {Fraction(1): RectifiedFlow(), Fraction(3): shifted_flow()}
    schedule = named.get(k) or RectifiedFlow(float(k))
    t = Fraction(int(case.rng.integers(1, 1024)), 1024)
    u = k * t / (1 + (k - 1) * t)
    expected = np.array([float(1 - u), float(u)])
    logs = np.array([schedule.log_alpha(float(t)), schedule.log_sigma(float(t))])
    straight = max(relative(scales(schedule, float(t)), expected), relative(np.exp(logs), expected))
    level = math.log(Fraction(1 - t, t) ** 2 / k**2)
    twice = RectifiedFlow(1.5 * float(k)).sigma(float(t)) - RectifiedFlow(1.5).sigma(float(u))
    moved = max(abs(float(schedule.log_snr(float(t))) - level) / 10.0, abs(float(twice)))
    return {"rectified-flow": straight, "flow-shift": moved}


@check("laplace-log-snr", route="SciPy's Laplace distribution", tolerance=1e-10, cases=9)
def laplace_by_its_quantiles(case: Case) -> float:
    """log-SNR at t is exceeded with probability t; its scales by the logistic function."""
    from scipy.special import expit
    from scipy.stats import laplace

    mean, scale, reach = case.choose([(0.0, 0.5, 10.0), (1.3, 1.7, 9.0), (-0.7, 1.0, 12.0)])
    schedule = Laplace() if reach == 10.0 else Laplace(mean, scale, reach)
    law = laplace(mean, scale)
    span = min(6.0 * scale, reach)
    t = law.sf(case.rng.uniform(mean - span, mean + span, 12))
    level = law.isf(t)
    expected = np.sqrt(np.stack([expit(level), expit(-level)]))
    ends = np.array([law.sf(mean + reach), law.cdf(mean - reach)])
    found = np.array([schedule.t_min, 1.0 - schedule.t_max])
    off = relative(scales(schedule, t), expected), relative(schedule.log_snr(t), level)
    return max(*off, float(np.max(np.abs(found / ends - 1.0))) * 1e-4)


@check("learned-log-snr", route="SciPy's logistic function", tolerance=1e-12, cases=6)
def learned_by_the_logistic_function(case: Case) -> float:
    """The scales of gamma(u), from t_min on; before it powers of the first alpha."""
    from scipy.special import expit, log_expit

    schedule = Learned(cubic) if case.index % 2 else Learned()

    def gamma(u: np.ndarray | float) -> np.ndarray | float:
        fixed = -13.3 + 18.3 * u  # VDM's, from 13.3 to -5
        return -9.0 + 4.0 * u + 12.0 * u**3 if case.index % 2 else fixed

    u, part = case.rng.uniform(0.0, 1.0, 9), case.rng.uniform(0.05, 1.0, 5)
    expected = np.sqrt(np.stack([expit(-gamma(u)), expit(gamma(u))]))
    curve = relative(scales(schedule, 1e-3 + u * 0.999) / expected, np.ones((2, 9)))
    lost = -np.expm1(part * log_expit(-gamma(0.0)))  # 1 - alpha^2
    before = schedule.sigma(1e-3 * part) ** 2 / lost
    return max(curve, relative(before, np.ones(5)))
