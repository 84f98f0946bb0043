"""Checks of how times are drawn for training: distributions, their densities, their spread."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective import (
    TIME_SAMPLERS,
    LogitNormal,
    LogNormal,
    LossHistory,
    LowDiscrepancy,
    Objective,
    SecondMoment,
    Uniform,
)
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.schedules import SCHEDULES, LinearVP, Schedule, Times, cosine_betas, linear_betas


def distribution(
    label: str, schedule: Schedule, mean: float, deviation: float
) -> Callable[[Times], np.ndarray]:
    """The distribution function of a draw of times, cut to those that are trained on."""
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
    route="the distribution function, and its central differences",
    tolerance=1e-6,
    cases=22,
)
def draws_follow_their_law(case: Case) -> dict[str, float]:
    """Quantiles and densities against SciPy's normal distribution of the transformed time."""
    schedule = SCHEDULES[case.choose(list(SCHEDULES))]()
    mean, deviation = case.rng.uniform(-1.0, 0.5), case.rng.uniform(0.6, 1.5)
    u = case.rng.uniform(0.05, 0.95, 5)
    found: dict[str, float] = {}
    for label, time_sampler, *law in (
        ("logit-normal", LogitNormal(mean, deviation), mean, deviation),
        ("log-normal-noise", LogNormal(mean, deviation), mean, deviation),
        ("logit-normal", LogitNormal(), 0.0, 1.0),
        ("log-normal-noise", LogNormal(), -1.2, 1.2),
    ):
        below = distribution(label, schedule, *law)
        t = time_sampler.quantile(schedule, u)
        if schedule.steps is None:
            h = 1e-4 * np.minimum(t, schedule.t_max - t + 2e-5)  # steep at either end
            whole = schedule.t_max - schedule.t_min
            slope = whole * (below(t + h) - below(t - h)) / (2.0 * h)
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


@check("low-discrepancy", route="VDM's evenly spaced times", tolerance=1e-12, cases=6)
def spread_is_even(case: Case) -> float:
    """The sorted times of 2^k samples against one offset plus multiples of 2^-k."""
    schedule, count = LinearVP(), 2 ** (1 + case.index)
    time_sampler = LowDiscrepancy(case.choose([Uniform(), LogitNormal(0.2, 0.8)]))
    t = time_sampler(schedule, Key(case.index, range(count), step=3, stream="times"))
    if isinstance(time_sampler.of, Uniform):
        u = (t - schedule.t_min) / (schedule.t_max - schedule.t_min)
    else:
        u = distribution("logit-normal", schedule, 0.2, 0.8)(t)
    offset = Key(case.index, [0], step=3, stream="times").fold("offset").uniform()[0]
    mirrored = [int(f"{i:032b}"[::-1], 2) / 2.0**32 for i in range(count)]
    even = np.sort((offset + np.arange(count) / count) % 1.0)
    return max(relative(u, (offset + np.array(mirrored)) % 1.0), relative(np.sort(u), even))


@check("second-moment-sampling", route="a textbook loop over lists", tolerance=1e-12)
def second_moments_by_loop(case: Case) -> float:
    """The probabilities after many losses against lists of the last of them."""
    T, K, floor = 6, 4, case.choose([1e-3, 0.2])
    history = LossHistory.empty(T, K)
    lists: list[list[float]] = [[] for _ in range(T)]
    worst = 0.0
    for _ in range(40):
        t = 1 + case.rng.integers(T, size=3)
        losses = case.rng.gamma(2.0, size=3) * (t - 1)  # the first time is always right
        history = history.add(t.astype(float), losses)
        for time, loss in zip(t, losses, strict=True):
            lists[time - 1] = [*lists[time - 1], loss][-K:]
        full = all(len(seen) == K for seen in lists)
        roots = [(sum(x * x for x in seen) / K) ** 0.5 for seen in lists]
        for share, found in (
            (floor, history.probabilities(floor)),
            (1e-3, history.probabilities()),
            (1e-3, SecondMoment(history).p),
        ):
            expected = [
                (1.0 - share) * r / sum(roots) + share / T if full else 1.0 / T for r in roots
            ]
            worst = max(worst, relative(found, np.array(expected)))
    return worst


@check("second-moment-sampling", route="the sum over every time", tolerance=1e-12)
def importance_sampling_is_unbiased(case: Case) -> float:
    """The expected weight of each time under the draw against that under a uniform draw."""
    schedule, T = linear_betas(40), 40
    rng = case.rng
    history = LossHistory(rng.gamma(1.0, size=(T, 3)), np.full(T, 3))
    time_sampler = SecondMoment(history)
    edges = np.cumsum(time_sampler.p)
    inside = time_sampler.quantile(schedule, edges - 0.5 * time_sampler.p)
    t = np.arange(1.0, T + 1.0)
    uniform = Objective(schedule, PARAMETERIZATIONS["v"])
    drawn = replace(uniform, time_sampler=time_sampler)
    shares = np.diff(edges, prepend=0.0)
    return max(
        relative(inside, t),
        relative(shares * drawn.weights(t), uniform.weights(t) / T),
        relative(time_sampler.density(schedule, t), T * shares),
    )


@check("low-discrepancy", route="Riemann sums", tolerance=0.03, cases=3)
def draws_average_to_the_mean(case: Case) -> float:
    """Over 4096 samples each named draw averages a function as its density says."""
    schedule = case.choose([LinearVP(), cosine_betas(), SCHEDULES["edm"]()])
    whole = schedule.t_max - schedule.t_min
    if schedule.steps is None:
        grid = schedule.t_min + whole * (np.arange(200_000) + 0.5) / 200_000
    else:
        grid = np.arange(1.0, schedule.steps + 1.0)
    worst = 0.0
    for time_sampler in TIME_SAMPLERS.values():
        t = time_sampler(schedule, Key(case.index, range(4096), stream="mean"))
        of_draws = np.tanh(schedule.log_snr(t) / 4.0).mean()
        of_density = (
            time_sampler.density(schedule, grid) * np.tanh(schedule.log_snr(grid) / 4.0)
        ).mean()
        worst = max(worst, abs(of_draws - of_density))
    return worst
