"""Checks of the variational bound's terms and of their weights."""

import numpy as np

from npdiff.laboratory.checks.decoders import Moments, divergence
from npdiff.laboratory.checks.process import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective.bound import (
    bits_per_dim,
    ddpm_weight,
    discrete_weight,
    last_step_variance,
    prior_kl,
    prior_variance,
    step_kl,
)
from npdiff.schedules import DiscreteSchedule, Schedule, linear_betas


@check("bound-prior", route="Gauss-Hermite quadrature of log q - log p", tolerance=1e-12, cases=11)
def prior_by_quadrature(case: Case) -> float:
    """L_T against the integral, for the noise that sampling starts from."""
    schedule = a_schedule(case)
    if schedule.alpha(schedule.t_max) < 0.05 and schedule.steps is not None:
        schedule = DiscreteSchedule(case.rng.uniform(0.05, 0.3, 9))  # some signal is left
    x_0 = case.rng.uniform(-1.0, 1.0, (2, 3))
    T = schedule.t_max
    preserving = abs(schedule.alpha(0.3 * T) ** 2 + schedule.sigma(0.3 * T) ** 2 - 1.0) < 1e-9
    start = 1.0 if preserving else schedule.sigma(T) ** 2
    q = schedule.alpha(T) * x_0, schedule.sigma(T) ** 2
    expected = divergence(q, (0.0 * x_0, start)).sum(axis=1)
    absolute = float(np.abs(prior_kl(schedule, x_0) - expected).max())
    return max(relative(prior_variance(schedule), start), absolute)


def bayes(schedule: Schedule, x_0: np.ndarray, x_t: np.ndarray, s: float, t: float) -> Moments:
    """Mean and variance of q(x_s | x_t, x_0): the product of a prior and a likelihood."""
    a_s, v_s = schedule.alpha(s), schedule.sigma(s) ** 2
    ratio = schedule.alpha(t) / a_s
    noise = schedule.sigma(t) ** 2 - ratio**2 * v_s
    precision = 1.0 / v_s + ratio**2 / noise
    return (a_s * x_0 / v_s + ratio * x_t / noise) / precision, 1.0 / precision


@check(
    "bound-step",
    "discrete-weight",
    "ddpm-weight",
    route="Gauss-Hermite quadrature of log q(x_s | x_t, x_0) - log p(x_s | x_t)",
    tolerance=1e-11,
    cases=22,
)
def step_by_quadrature(case: Case) -> dict[str, float]:
    """L_s against the integral, with the true variance and with two others; and as weights."""
    schedule = a_schedule(case)
    s, t = timesteps(case, schedule, 2)
    x_0, x0_hat, eps = case.rng.standard_normal((3, 2, 3))
    x_t = schedule.alpha(t) * x_0 + schedule.sigma(t) * eps
    eps_hat = (x_t - schedule.alpha(t) * x0_hat) / schedule.sigma(t)
    q, (mean, _) = bayes(schedule, x_0, x_t, s, t), bayes(schedule, x0_hat, x_t, s, t)

    def expected(variance: np.ndarray | float) -> np.ndarray:
        return divergence(q, (mean, variance)).sum(axis=1)

    error = ((eps - eps_hat) ** 2).sum(axis=1)
    each = q[1] * np.exp(case.rng.normal(size=(2, 3)))
    one = q[1] * np.array([0.7, 1.9])
    rest = 0.5 * 3 * (q[1] / one - 1.0 - np.log(q[1] / one))
    return {
        "bound-step": max(
            relative(step_kl(schedule, x_0, x0_hat, s, t), expected(q[1])),
            relative(step_kl(schedule, x_0, x0_hat, s, t, np.log(each)), expected(each)),
            relative(step_kl(schedule, x_0, x0_hat, s, t, np.log(one)), expected(one[:, None])),
        ),
        "discrete-weight": relative(discrete_weight(schedule, s, t) * error, expected(q[1])),
        "ddpm-weight": relative(
            ddpm_weight(schedule, s, t, one) * error + rest, expected(one[:, None])
        ),
    }


@check("ddpm-weight", route="DDPM's symbols", tolerance=1e-12, cases=2)
def weight_in_the_papers_symbols(case: Case) -> float:
    """The weight of the error of eps on a chain, from betas, for both of the paper's variances."""
    betas = np.linspace(1e-4, 0.02, 1000)
    bars = np.cumprod(1.0 - betas)
    t = np.array([2, 40, 999])
    beta, bar, before = betas[t - 1], bars[t - 1], bars[t - 2]
    variance = case.choose([beta, beta * (1.0 - before) / (1.0 - bar)])
    expected = beta**2 / (2.0 * variance * (1.0 - beta) * (1.0 - bar))
    found = ddpm_weight(linear_betas(), t - 1.0, t.astype(float), variance)
    last = last_step_variance(linear_betas(), np.array([1.0, 500.0, 700.0, 1000.0]))
    tilde = betas[1] * (1.0 - bars[0]) / (1.0 - bars[1])
    far = [(1 - bars[m - 1] / bars[n - 1]) * (1 - bars[n - 1]) / (1 - bars[m - 1])
           for n, m in ((500, 1000), (700, 1000))]  # fmt: skip
    ends = np.array([tilde, *far, 1.0 - bars[-1]])
    return max(relative(found / expected, np.ones(3)), relative(last / ends, np.ones(4)))


@check("discrete-weight", route="the limit of small steps, extrapolated", tolerance=1e-6, cases=11)
def steps_become_an_integral(case: Case) -> float:
    """The sum over ever more steps, even in log-SNR, against half of its range."""
    schedule = a_schedule(case)
    s, t = timesteps(case, schedule, 2)
    t = s + 0.2 * (t - s)
    ends = schedule.log_snr(s), schedule.log_snr(t)

    def total(steps: int) -> float:
        grid = schedule.time_at(np.linspace(*ends, steps + 1))
        return float(discrete_weight(schedule, grid[:-1], grid[1:]).sum())

    coarse, fine = total(400), total(800)
    finest = total(1600)
    first = np.array([2.0 * fine - coarse, 2.0 * finest - fine])
    return relative((4.0 * first[1] - first[0]) / 3.0, 0.5 * (ends[0] - ends[1]))


@check("bits-per-dim", route="the entropy of fair bytes", tolerance=1e-14)
def fair_bytes(case: Case) -> float:
    """A uniform byte costs 8 bits."""
    D = case.choose([1, 3, 10, 784])
    return relative(bits_per_dim(np.array([D * np.log(256.0)]), D), np.array([8.0]))
