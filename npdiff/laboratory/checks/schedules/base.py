"""Checks of properties that every schedule has."""

from collections.abc import Callable

import numpy as np

from npdiff.laboratory.checks._schedules import VARIANTS
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import (
    EDM,
    VE,
    DiscreteSchedule,
    Laplace,
    Learned,
    RectifiedFlow,
    Schedule,
    VariancePreserving,
)

#: The eighth-order central difference: weights of 1, 2, 3 and 4 steps to either side.
_WEIGHTS = (4 / 5, -1 / 5, 4 / 105, -1 / 280)


def piece(schedule: Schedule, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the interval around t in which the schedule is smooth."""
    if isinstance(schedule, DiscreteSchedule):
        return np.floor(t), np.floor(t) + 1.0
    bend = {Laplace: 0.5, Learned: schedule.t_min}.get(type(schedule), schedule.t_max)
    return np.where(t < bend, 0.0, bend), np.where(t < bend, bend, schedule.t_max)


def inner_times(case: Case, schedule: Schedule, count: int = 12) -> np.ndarray:
    """Times inside smooth pieces, at all noise levels that leave enough digits to compare.

    In a discrete schedule also in the first and the last step; otherwise also before ``t_min``.
    """
    if schedule.steps is not None:
        rows = np.unique([0, schedule.steps - 1, *case.rng.integers(schedule.steps, size=count)])
        return rows + case.rng.uniform(0.1, 0.9, rows.shape)
    noisy = max(float(schedule.log_snr(schedule.t_max)), -9.0)
    levels = case.rng.uniform(noisy + 0.3, min(float(schedule.log_snr(schedule.t_min)), 9.0), count)
    return np.append(schedule.time_at(levels), schedule.t_min * case.rng.uniform(0.3, 0.8))


def slope(f: Callable[[np.ndarray], np.ndarray], t: np.ndarray, room: np.ndarray) -> np.ndarray:
    """The derivative by differences; steps are powers of two, so that t + h is exact."""
    h = 2.0 ** np.floor(np.log2(room / 128.0))
    differences = (w * (f(t + k * h) - f(t - k * h)) for k, w in enumerate(_WEIGHTS, start=1))
    return sum(differences) / h


def largest_error(
    found: np.ndarray, expected: np.ndarray, unit: np.ndarray | float = 1e-300
) -> float:
    """The largest deviation, each relative to its expected magnitude and a unit."""
    return float(np.max(np.abs(found - expected) / (np.abs(expected) + unit)))


@check(
    "sde-drift",
    "sde-diffusion",
    method="differences of eighth order",
    tolerance=1e-9,
    cases=len(VARIANTS),
)
def rates_by_differences(case: Case) -> dict[str, float]:
    """The derivatives of both scales and their logarithms; f; and g^2 as -sigma^2 lambda'."""
    schedule = VARIANTS[case.choose(list(VARIANTS))]()
    t = inner_times(case, schedule)
    low, high = piece(schedule, t)
    room = np.minimum(t - low, high - t)
    log_alpha, alpha = slope(schedule.log_alpha, t, room), slope(schedule.alpha, t, room)
    log_sigma, sigma = slope(schedule.log_sigma, t, room), slope(schedule.sigma, t, room)
    g_squared = -(schedule.sigma(t) ** 2) * slope(schedule.log_snr, t, room)
    unit = 0.01 / room
    drifts = (
        largest_error(schedule.drift(t), log_alpha),
        largest_error(schedule.alpha_dot(t), alpha, unit * schedule.alpha(t)),
    )
    diffusions = (
        largest_error(schedule.log_sigma_dot(t), log_sigma, unit),
        largest_error(schedule.sigma_dot(t), sigma, unit * schedule.sigma(t)),
        largest_error(schedule.diffusion(t), g_squared, unit * schedule.sigma(t) ** 2),
    )
    return {"sde-drift": max(drifts), "sde-diffusion": max(diffusions)}


@check(
    "sde-drift",
    "sde-diffusion",
    method="SciPy's integration of the moments of the SDE",
    tolerance=1e-7,
    cases=len(VARIANTS),
)
def marginals_by_moments_of_the_sde(case: Case) -> dict[str, float]:
    """m' = f m and v' = 2 f v + g^2 from one time to another, against alpha and sigma^2."""
    from scipy.integrate import solve_ivp

    schedule = VARIANTS[case.choose(list(VARIANTS))]()
    start = case.rng.choice(inner_times(case, schedule))
    _, high = piece(schedule, start)
    last = 0.9 * high + 0.1 * start if schedule.alpha(high) < 1e-3 else high
    end = float(start + case.rng.uniform(0.5, 0.95) * (last - start))

    def moments(t: float, y: np.ndarray) -> np.ndarray:
        f = schedule.drift(t)
        return np.array([f * y[0], 2.0 * f * y[1] + schedule.diffusion(t)])

    y = np.array([schedule.alpha(start), schedule.sigma(start) ** 2])
    solved = solve_ivp(moments, (start, end), y, method="DOP853", rtol=1e-12, atol=1e-15)
    mean, variance = solved.y[:, -1]
    return {
        "sde-drift": relative(schedule.alpha(end), mean),
        "sde-diffusion": relative(schedule.sigma(end) ** 2, variance),
    }


_PRESERVING = [k for k, make in VARIANTS.items() if isinstance(make(), VariancePreserving)]


@check(
    "variance-preserving",
    method="Pythagoras, and its derivative",
    tolerance=1e-12,
    cases=len(_PRESERVING),
)
def variance_by_pythagoras(case: Case) -> float:
    """alpha^2 + sigma^2 = 1 at every time, ends included, and alpha alpha' + sigma sigma' = 0."""
    schedule = VARIANTS[case.choose(_PRESERVING)]()
    t = np.append(inner_times(case, schedule), [0.0, schedule.t_max])
    total = schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2
    t = t[t > 0.0]
    of_alpha = schedule.alpha(t) * schedule.alpha_dot(t)
    of_sigma = schedule.sigma(t) ** 2 * schedule.log_sigma_dot(t)
    return max(relative(total, np.ones_like(total)), largest_error(-of_sigma, of_alpha, 1e-30))


@check(
    "log-snr", method="its two scales, its inverse, its ends", tolerance=1e-9, cases=len(VARIANTS)
)
def log_snr_by_its_scales(case: Case) -> float:
    """log(alpha^2 / sigma^2) decreases from inf at (1, 0); ``time_at`` is its inverse."""
    schedule = VARIANTS[case.choose(list(VARIANTS))]()
    t = inner_times(case, schedule)
    level = np.log(schedule.alpha(t) ** 2 / schedule.sigma(t) ** 2)
    dense = schedule.log_snr(np.linspace(0.0, schedule.t_max, 301))
    right = (
        bool((np.diff(dense[1:-1]) < 0.0).all()) and dense[0] == np.inf and dense[-1] < dense[-2],
        schedule.alpha(0.0) == 1.0 and schedule.sigma(0.0) == 0.0,
        schedule.time_at(np.inf) == 0.0,
    )
    visited = np.append(t, schedule.t_max)
    back = largest_error(schedule.time_at(schedule.log_snr(visited)), visited)
    return max(0.0 if all(right) else 1.0, largest_error(schedule.log_snr(t), level, 1.0), back)


@check("level-timestep", method="logarithms of quotients", tolerance=1e-13, cases=len(VARIANTS))
def timestep_by_logarithms(case: Case) -> float:
    """The timestep: t in thousandths, or for five families log(sigma / alpha), or sigma."""
    schedule = VARIANTS[case.choose(list(VARIANTS))]()
    t = np.append(inner_times(case, schedule), [0.0, schedule.t_min, schedule.t_max])
    level = schedule.sigma(t) / np.maximum(schedule.alpha(t), 1e-30)
    if isinstance(schedule, VE | EDM | Laplace | Learned):
        first, last = level[-2:]
        expected = 1000.0 * np.log((first + level) / first) / np.log((first + last) / first)
    elif isinstance(schedule, RectifiedFlow):
        expected = 1000.0 * schedule.sigma(t)
    else:
        expected = t if schedule.steps is not None else 1000.0 * t
    return relative(schedule.timestep(t), expected)
