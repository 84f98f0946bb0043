"""Checks of the losses that learn reverse variances."""

from typing import Any

import numpy as np

from npdiff.laboratory.checks.objective._quadrature import (
    bayes,
    bin_mass,
    divergence,
    end_mass,
    worst_error,
)
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective import Objective, loss
from npdiff.objective.example import Example
from npdiff.objective.hybrid import bound_loss, hybrid_loss
from npdiff.objective.time_samplers import LowDiscrepancy, TimeSampler
from npdiff.objective.weightings import min_snr
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.schedules import DiscreteSchedule, Schedule, Times, cosine_betas
from npdiff.verify._pullback import pullback


class LateTimes(TimeSampler):
    """A sampler twice as likely to give late times as early ones: importance sampling."""

    importance = True

    def quantile(self, schedule: Schedule, u: np.ndarray) -> np.ndarray:
        return np.ceil(u * schedule.t_max)

    def density(self, schedule: Schedule, t: Times) -> np.ndarray:
        return np.where(np.asarray(t) > 0.5 * schedule.t_max, 4.0 / 3.0, 2.0 / 3.0)


def hybrid_problem(case: Case) -> tuple[Objective, Example, np.ndarray, np.ndarray]:
    """An objective on a discrete schedule, a batch that includes t = 1, its data, an output."""
    schedule = case.choose([DiscreteSchedule(np.array([0.02, 0.05, 0.1, 0.3])), cosine_betas(40)])
    parameterization = PARAMETERIZATIONS[
        list(PARAMETERIZATIONS)[case.index % len(PARAMETERIZATIONS)]
    ]
    time_sampler = [LowDiscrepancy(), LateTimes()][case.index // 2 % 2]
    objective = Objective(schedule, parameterization, min_snr, time_sampler)
    x_0 = case.rng.integers(0, 256, (5, 2, 3)) / 127.5 - 1.0
    x_0[0, 0, :2] = -1.0, 1.0
    t = np.array([1.0, 2.0, schedule.t_max - 1.0, 3.0, schedule.t_max])
    eps = case.rng.standard_normal(x_0.shape)
    alpha, sigma = (c(t)[:, None, None] for c in (schedule.alpha, schedule.sigma))
    example = objective.example(x_0, Key(case.index, range(5)))._replace(
        t=t, eps=eps, x_t=alpha * x_0 + sigma * eps, weight=objective.weights(t),
        target=parameterization.target(schedule, x_0, eps, t),
    )  # fmt: skip
    near = parameterization.target(
        schedule, x_0, eps + 0.3 * case.rng.standard_normal(x_0.shape), t
    )
    v = case.rng.uniform(-1.0, 1.0, x_0.shape)
    return objective, example, x_0, np.concatenate([near, v], axis=-1)


def bound_by_a_loop(
    objective: Objective, example: Example, x_0: np.ndarray, output: np.ndarray
) -> float:
    """The estimate of the bound, sample by sample, from betas and bins."""
    schedule = objective.schedule
    y, v = output[..., :3], output[..., 3:]
    x0_hat, _ = objective.parameterization.solve(schedule, example.x_t, y, example.t)
    bars = np.array([schedule.alpha(float(u)) ** 2 for u in range(int(schedule.t_max) + 1)])
    total = 0.0
    for n, time in enumerate(example.t.astype(int)):
        beta = 1.0 - bars[time] / bars[time - 1]
        later = max(time, 2)
        tilde = (
            (1.0 - bars[later] / bars[later - 1]) * (1.0 - bars[later - 1]) / (1.0 - bars[later])
        )
        part = (v[n] + 1.0) / 2.0
        variance = np.exp(part * np.log(beta) + (1.0 - part) * np.log(tilde))
        if time == 1:
            term = sum(
                -bin_mass(x0_hat[n][i], variance[i] ** 0.5, x_0[n][i], 1 / 255)
                if abs(x_0[n][i]) < 1
                else -end_mass(x0_hat[n][i], variance[i] ** 0.5, x_0[n][i])
                for i in np.ndindex(2, 3)
            )
        else:
            s, t = float(time - 1), float(time)
            q = bayes(schedule, x_0[n], example.x_t[n], s, t)
            mean, _ = bayes(schedule, x0_hat[n], example.x_t[n], s, t)
            term = divergence(q, (mean, variance)).sum()
        rare = 1.0
        if objective.time_sampler.importance:
            rare = 4.0 / 3.0 if time > schedule.t_max / 2 else 2.0 / 3.0
        total += schedule.t_max * term / rare / x_0.size
    return total


@check(
    "vlb-loss",
    "hybrid-loss",
    method="a loop over samples in DDPM's symbols",
    tolerance=1e-11,
    cases=8,
)
def learned_variances_by_loop(case: Case) -> dict[str, float]:
    """The two losses that learn variances, t = 1 included, against sums of integrals."""
    objective, example, x_0, output = hybrid_problem(case)
    options: dict[str, Any] = {"example": example, "objective": objective, "x_0": x_0}
    expected = bound_by_a_loop(objective, example, x_0, output)
    simple, _ = loss(output[..., :3], example=example)
    both, _ = hybrid_loss(output, **options, vlb_weight=0.02)
    default, _ = hybrid_loss(output, **options)
    return {
        "vlb-loss": relative(bound_loss(output, **options)[0], expected),
        "hybrid-loss": max(
            relative(both, simple + 0.02 * expected), relative(default, simple + expected / 1000)
        ),
    }


@check("vlb-pullback", "hybrid-loss", method="central differences", tolerance=1e-6, cases=6)
def learned_variances_by_differences(case: Case) -> dict[str, float]:
    """The gradients; the hybrid's is the simple loss's in the mean and the bound's in v."""
    objective, example, x_0, output = hybrid_problem(case)
    options: dict[str, Any] = {"example": example, "objective": objective, "x_0": x_0}
    report = pullback(bound_loss, output, **options, step=1e-5)
    _, hybrid_pullback = hybrid_loss(output, **options, vlb_weight=0.02)
    _, simple_pullback = loss(output[..., :3], example=example)
    _, bound_pullback = bound_loss(output, **options)
    (found,), (dy,), (dbound,) = hybrid_pullback(1.3), simple_pullback(1.3), bound_pullback(1.3)
    expected = np.concatenate([dy, 0.02 * dbound[..., 3:]], axis=-1)
    return {"vlb-pullback": worst_error(report), "hybrid-loss": relative(found, expected)}
