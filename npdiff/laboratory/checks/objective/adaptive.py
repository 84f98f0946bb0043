"""Checks of loss-aware time sampling."""

from dataclasses import replace

import numpy as np

from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective import LossHistory, Objective, SecondMoment
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.schedules import linear_betas


@check("second-moment-sampling", method="a history written by hand", tolerance=1e-15, cases=1)
def incomplete_loss_histories(case: Case) -> float:
    """Uniform while a time has fewer than K losses or all losses are 0, not uniform afterwards."""
    history = LossHistory.empty(3, 2)
    off = [float(history.losses.any() or LossHistory.empty(4).losses.shape != (4, 10))]
    uniform = np.full(3, 1.0 / 3.0)
    history = history.add(np.array([1.0, 1.0, 2.0, 2.0, 3.0]), np.array([0.0, 0.0, 3.0, 4.0, 6.0]))
    off.append(relative(history.probabilities(), uniform))
    history = history.add(np.array([3.0]), np.array([8.0]))
    # roots of the mean squares: 0, 5 / sqrt 2, 10 / sqrt 2
    off.append(relative(history.probabilities(), [0.001 / 3, 0.333 + 0.001 / 3, 0.666 + 0.001 / 3]))
    lost = LossHistory(np.zeros((3, 2)), np.full(3, 5))
    return max(*off, relative(lost.probabilities(), uniform))


@check("second-moment-sampling", method="a loop over lists", tolerance=1e-12)
def second_moments_by_loop(case: Case) -> float:
    """The probabilities after many losses against lists of the last losses."""
    T, K, floor = 6, 4, case.choose([1e-3, 0.2])
    history = LossHistory.empty(T, K)
    lists: list[list[float]] = [[] for _ in range(T)]
    worst = 0.0
    for _ in range(40):
        t = 1 + case.rng.integers(T, size=3)
        losses = case.rng.gamma(2.0, size=3) * (t - 1)  # the first time always qualifies
        history = history.add(t.astype(float), losses)
        for time, loss in zip(t, losses, strict=True):
            lists[time - 1] = [*lists[time - 1], loss][-K:]
        full = all(len(kept) == K for kept in lists)
        roots = [(sum(x * x for x in kept) / K) ** 0.5 for kept in lists]
        for uniform_fraction, found in (
            (floor, history.probabilities(floor)),
            (1e-3, history.probabilities()),
            (1e-3, SecondMoment(history).p),
        ):
            expected = [
                (1.0 - uniform_fraction) * r / sum(roots) + uniform_fraction / T
                if full
                else 1.0 / T
                for r in roots
            ]
            worst = max(worst, relative(found, np.array(expected)))
    return worst


@check("second-moment-sampling", method="the sum over every time", tolerance=1e-12)
def importance_sampling_is_unbiased(case: Case) -> float:
    """The expected weight of each time under the sampler against that under uniform sampling."""
    schedule, T = linear_betas(40), 40
    rng = case.rng
    history = LossHistory(rng.gamma(1.0, size=(T, 3)), np.full(T, 3))
    time_sampler = SecondMoment(history)
    edges = np.cumsum(time_sampler.p)
    inside = time_sampler.quantile(schedule, edges - 0.5 * time_sampler.p)
    t = np.arange(1.0, T + 1.0)
    uniform = Objective(schedule, PARAMETERIZATIONS["v"])
    importance = replace(uniform, time_sampler=time_sampler)
    probabilities = np.diff(edges, prepend=0.0)
    return max(
        relative(inside, t),
        relative(probabilities * importance.weights(t), uniform.weights(t) / T),
        relative(time_sampler.density(schedule, t), T * probabilities),
    )
