"""Checks of time samplers: their distributions, densities, evenness."""

from collections.abc import Callable

import numpy as np

from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective import TIME_SAMPLERS, LogitNormal, LogNormal, LowDiscrepancy, Uniform
from npdiff.random import Key
from npdiff.schedules import SCHEDULES, LinearVP, Schedule, Times, cosine_betas


@check("logit-normal", "log-normal-noise", method="the published values", tolerance=0.0, cases=1)
def time_samplers_by_default(case: Case) -> dict[str, float]:
    """A standard normal logit; EDM's mean of -1.2 and standard deviation of 1.2."""
    return {
        "logit-normal": float(LogitNormal() != LogitNormal(0.0, 1.0)),
        "log-normal-noise": float(LogNormal() != LogNormal(-1.2, 1.2)),
    }


def distribution(
    label: str, schedule: Schedule, mean: float, deviation: float
) -> Callable[[Times], np.ndarray]:
    """The distribution function of a time sampler, restricted to the training times."""
    from scipy.stats import norm

    first = 0.0 if schedule.steps is not None else schedule.t_min

    def below(t: Times) -> np.ndarray:
        with np.errstate(divide="ignore"):
            if label == "logit-normal":
                part = np.asarray(t) / schedule.t_max
                z = np.log(part / (1.0 - part))
            else:
                z = np.log(np.divide(schedule.sigma(t), schedule.alpha(t)))
        return np.asarray(norm.cdf((z - mean) / deviation))

    low, high = below(first), below(schedule.t_max)
    return lambda t: (below(t) - low) / (high - low)


@check(
    "logit-normal",
    "log-normal-noise",
    method="the distribution function and its central differences",
    tolerance=1e-6,
    cases=2 * len(SCHEDULES),
)
def times_follow_their_distribution(case: Case) -> dict[str, float]:
    """Quantiles and densities against SciPy's normal distribution of the transformed time."""
    schedule = SCHEDULES[case.choose(list(SCHEDULES))]()
    mean, deviation = case.rng.uniform(-1.0, 0.5), case.rng.uniform(0.6, 1.5)
    u = case.rng.uniform(0.05, 0.95, 5)
    found: dict[str, float] = {}
    for label, time_sampler, *moments in (
        ("logit-normal", LogitNormal(mean, deviation), mean, deviation),
        ("log-normal-noise", LogNormal(mean, deviation), mean, deviation),
        ("logit-normal", LogitNormal(), 0.0, 1.0),
        ("log-normal-noise", LogNormal(), -1.2, 1.2),
    ):
        below = distribution(label, schedule, *moments)
        t = time_sampler.quantile(schedule, u)
        if schedule.steps is None:
            h = 1e-4 * np.minimum(t, schedule.t_max - t + 2e-5)  # steep at both ends
            length = schedule.t_max - schedule.t_min
            slope = length * (below(t + h) - below(t - h)) / (2.0 * h)
            residual = max(
                relative(below(t), u),
                relative(time_sampler.density(schedule, t) / slope, 1 + 0 * t),
            )
        else:
            inside = schedule.steps * (below(t) - below(t - 1.0))
            bracketed = (below(t - 1.0) <= u + 1e-12) & (u <= below(t) + 1e-12)
            residual = max(
                float(not bracketed.all() or (t != np.round(t)).any()),
                relative(time_sampler.density(schedule, t) / inside, np.ones_like(t)),
            )
        found[label] = max(residual, found.get(label, 0.0))
    return found


@check("low-discrepancy", method="VDM's evenly spaced times", tolerance=1e-12, cases=6)
def low_discrepancy_times_are_even(case: Case) -> float:
    """The sorted times of 2^k samples against one offset plus multiples of 2^-k."""
    schedule, count = LinearVP(), 2 ** (1 + case.index)
    time_sampler = LowDiscrepancy(case.choose([Uniform(), LogitNormal(0.2, 0.8)]))
    t = time_sampler(schedule, Key(case.index, range(count), step=3, stream="times"))
    if isinstance(time_sampler.base, Uniform):
        u = (t - schedule.t_min) / (schedule.t_max - schedule.t_min)
    else:
        u = distribution("logit-normal", schedule, 0.2, 0.8)(t)
    offset = Key(case.index, [0], step=3, stream="times").fold("offset").uniform()[0]
    mirrored = [int(f"{i:032b}"[::-1], 2) / 2.0**32 for i in range(count)]
    even = np.sort((offset + np.arange(count) / count) % 1.0)
    return max(relative(u, (offset + np.array(mirrored)) % 1.0), relative(np.sort(u), even))


@check("low-discrepancy", method="Riemann sums", tolerance=0.03, cases=3)
def times_average_by_their_density(case: Case) -> float:
    """Over 4096 samples each time sampler averages a function as its density implies."""
    schedule = case.choose([LinearVP(), cosine_betas(), SCHEDULES["edm"]()])
    length = schedule.t_max - schedule.t_min
    if schedule.steps is None:
        times = schedule.t_min + length * (np.arange(200_000) + 0.5) / 200_000
    else:
        times = np.arange(1.0, schedule.steps + 1.0)
    worst = 0.0
    for time_sampler in TIME_SAMPLERS.values():
        t = time_sampler(schedule, Key(case.index, range(4096), stream="mean"))
        of_draws = np.tanh(schedule.log_snr(t) / 4.0).mean()
        of_density = (
            time_sampler.density(schedule, times) * np.tanh(schedule.log_snr(times) / 4.0)
        ).mean()
        worst = max(worst, abs(of_draws - of_density))
    return worst
