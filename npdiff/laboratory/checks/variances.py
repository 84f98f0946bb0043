"""Checks of the reverse variances, and of ancestral sampling with each of them."""

from itertools import pairwise
from typing import Any

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.registry import Case, check, relative
from npdiff.process import marginal
from npdiff.random import Key
from npdiff.samplers import ddpm
from npdiff.schedules import SCHEDULES, DiscreteSchedule, Schedule, linear_betas
from npdiff.variances import (
    estimate_mean_posterior_variance,
    interpolated,
    mean_posterior_variance_from_error,
    mean_posterior_variance_from_noise,
    optimal,
    optimal_variance,
)


def a_schedule(case: Case) -> Schedule:
    """Each of the named schedules in its turn."""
    return SCHEDULES[case.choose(list(SCHEDULES))]()


def pair(case: Case, schedule: Schedule) -> tuple[float, float]:
    """s < t, some way apart and well inside of a schedule, drawn in log-SNR."""
    low = float(schedule.log_snr(0.95 * schedule.t_max))
    high = min(float(schedule.log_snr(schedule.t_min)), low + 12.0)
    at_t = low + case.rng.uniform(0.05, 0.5) * (high - low)
    at_s = at_t + case.rng.uniform(0.2, 0.9) * (high - at_t)
    return float(schedule.time_at(at_s)), float(schedule.time_at(at_t))


def chain(betas: np.ndarray, s: int, t: int) -> tuple[float, float]:
    """DDPM's beta and beta-tilde of the step from row t to row s, from products of 1 - beta."""
    kept, before = float(np.prod(1.0 - betas[s:t])), float(np.prod(1.0 - betas[:s]))
    beta = 1.0 - kept
    return beta, beta * (1.0 - before) / (1.0 - before * kept)


@check("interpolated-variance", route="logarithms of products of betas", tolerance=1e-13, cases=8)
def interpolation_by_logarithms(case: Case) -> float:
    """exp(v ln beta + (1 - v) ln beta-tilde) on a chain of arbitrary betas, and its limit at 0."""
    betas = case.rng.uniform(0.01, 0.4, size=9)
    pairs = [(s, t) for t in range(2, 10) for s in range(1, t)]
    v = case.rng.uniform(-0.2, 1.2, size=(len(pairs), 3))
    logs = np.log([chain(betas, s, t) for s, t in pairs])
    s, t = np.array(pairs, dtype=float).T
    found = interpolated(DiscreteSchedule(betas), s, t, case.array(v))
    worst = relative(found, np.exp(v * logs[:, :1] + (1.0 - v) * logs[:, 1:]))
    ends = interpolated(DiscreteSchedule(betas), 0.0, 3.0, case.array([[0.0, 0.9, 1.0]]))
    return max(worst, relative(ends, [[0.0, 0.0, chain(betas, 0, 3)[0]]]))


@check("optimal-variance", route="conditioning of a joint normal law", tolerance=1e-12, cases=17)
def optimal_by_conditioning(case: Case) -> float:
    """Var[x_s | x_t] of normal data, from the covariance of x_s and x_t alone."""
    schedule, c = a_schedule(case), case.rng.uniform(0.05, 3.0)
    s, t = pair(case, schedule)
    (a_s, v_s), (a_t, v_t) = (
        (np.longdouble(schedule.alpha(u)), np.longdouble(schedule.sigma(u)) ** 2) for u in (s, t)
    )
    # x_s and x_t: variances a² c + σ², covariance a_t a_s c + (a_t / a_s) σ_s²
    across = a_t * a_s * c + a_t / a_s * v_s
    expected = (a_s**2 * c + v_s) - across**2 / (a_t**2 * c + v_t)
    spread = c - (a_t * c) ** 2 / (a_t**2 * c + v_t)
    worst = relative(optimal(schedule, s, t, float(spread)), float(expected))
    by_sample = optimal(schedule, np.array([s, 0.0]), np.array([t, t]), np.full(2, float(spread)))
    return max(worst, relative(by_sample, [float(expected), float(spread)]))


@check("optimal-variance", route="quadrature over the joint law of x_s and x_t", tolerance=1e-12)
def optimal_by_quadrature(case: Case) -> float:
    """E Var[x_s | x_t] of a mixture, summed over a grid of both."""
    schedule = linear_betas(20, 0.02, 0.3)
    s, t = case.choose([(3.0, 7.0), (1.0, 9.0), (5.0, 6.0), (2.0, 12.0)])
    weights, means, c = np.array([0.3, 0.7]), np.array([-1.1, 0.6]), np.array([0.2, 0.1])

    def expected_variance(u: float) -> float:
        """E Var[x_u | x_t]: of x_s where u is s, and of the data where it is 0."""
        a_u, v_u = float(schedule.alpha(u)), float(schedule.sigma(u)) ** 2
        a = float(schedule.alpha(t)) / a_u
        v = float(schedule.sigma(t)) ** 2 - a**2 * v_u
        x_u, x_t = np.linspace(-7.0, 7.0, 1401)[:, None], np.linspace(-8.0, 8.0, 801)
        spread = a_u**2 * c + v_u
        prior = (weights / np.sqrt(spread) * np.exp(-0.5 * (x_u - a_u * means) ** 2 / spread)).sum(
            axis=1, keepdims=True
        )
        joint = prior * np.exp(-0.5 * (x_t - a * x_u) ** 2 / v)
        of_t = joint.sum(axis=0)
        mean = (x_u * joint).sum(axis=0) / of_t
        return float((((x_u - mean) ** 2 * joint).sum(axis=0)).sum() / of_t.sum())

    return relative(optimal(schedule, s, t, expected_variance(0.0)), expected_variance(s))


#: Four pairs of numbers whose means are 0, second moments 1 and correlation 0: in place of draws.
DESIGN = np.sqrt(2.0) * np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


@check(
    "spread-from-error",
    "spread-from-noise",
    route="sum of precisions",
    tolerance=1e-12,
    cases=17,
)
def spread_by_precisions(case: Case) -> dict[str, float]:
    """On normal data, from draws that have their moments exactly: 1 / (1 / c + SNR)."""
    schedule = a_schedule(case)
    _, t = pair(case, schedule)
    mean, c = case.rng.normal(size=3), case.rng.uniform(0.05, 2.0, size=3)
    denoise = Gaussian(mean, c).denoiser(schedule)
    x_0 = case.array(mean + np.sqrt(c) * DESIGN[:, :1])
    eps = case.array(np.repeat(DESIGN[:, 1:], 3, axis=1))
    x0_hat, eps_hat = denoise(marginal(schedule, x_0, eps, t), t)
    snr = (schedule.alpha(t) / schedule.sigma(t)) ** 2
    expected = np.mean(1.0 / (1.0 / c + snr))
    return {
        "spread-from-error": relative(mean_posterior_variance_from_error(x_0, x0_hat), expected),
        # as long as the signal is not so weak that nothing of 1 - E |eps_hat|^2 is left
        "spread-from-noise": relative(
            mean_posterior_variance_from_noise(schedule, eps_hat, t), expected
        )
        * min(1.0, float(snr)),
    }


def laws(
    case: Case, schedule: Schedule, timesteps: np.ndarray, c: float, variance: Any
) -> list[tuple[float, float]]:
    """Mean and variance of all that ancestral sampling visits, from its responses to impulses.

    With the exact denoiser of N(m, c) each step is affine in (x, z). Row 0 starts at the mean, the
    others are off it by one input each: the start's deviation, or one step's noise.
    """
    m, count = 0.7, len(timesteps) - 1
    denoise = Gaussian([m], c).denoiser(schedule)
    a, v = float(schedule.alpha(timesteps[0])), float(schedule.sigma(timesteps[0])) ** 2
    x = np.full((count + 2, 1), a * m)
    x[1] += np.sqrt(a**2 * c + v)

    def impulse(i: int) -> np.ndarray:
        return case.array((np.arange(count + 2) == i + 2)[:, None] * 1.0)

    found = []
    for step in ddpm(denoise, schedule, case.array(x), timesteps, variance=variance, noise=impulse):
        rows = to_host(step.x)[:, 0]
        found.append((rows[0], ((rows[1:] - rows[0]) ** 2).sum()))
    return found


@check("optimal-variance", "ancestral-step", route="marginals of q", tolerance=1e-12, cases=6)
def optimal_is_exact_on_normal_data(case: Case) -> float:
    """With the optimal variance every state has the law of q, for any N: a ratio of 1."""
    schedule, c = linear_betas(), case.choose([1.0, 0.25, 0.01])
    steps = case.choose([1, 10, 100, 1000, 2, 37])
    timesteps = np.append(np.round(np.linspace(1000.0, 1.0, steps)), 0.0)

    def spread(t: float) -> float:
        return 1.0 / (1.0 / c + float(np.exp(schedule.log_snr(t))))

    found = np.array(laws(case, schedule, timesteps, c, optimal_variance(schedule, spread)))
    alpha, sigma = schedule.alpha(timesteps[1:]), schedule.sigma(timesteps[1:])
    deviation = np.sqrt(found[:, 1] / (alpha**2 * c + sigma**2))
    return max(relative(found[:, 0], 0.7 * alpha), relative(deviation, np.ones(steps)))


@check("ancestral-step", route="recursion of mean and variance", tolerance=1e-12, cases=6)
def ancestral_moments(case: Case) -> float:
    """Mean and variance of normal samples, by a recursion in DDPM's symbols over strided betas."""
    variance, steps = case.choose(["small", "large"]), case.choose([10, 10, 60, 60, 250, 250])
    schedule, c, m = linear_betas(), case.rng.uniform(0.05, 2.0), 0.7
    timesteps = np.append(np.round(np.linspace(1000.0, 1.0, steps)), 0.0)
    bars = np.cumprod(np.append(1.0, 1.0 - np.linspace(1e-4, 0.02, 1000)))[timesteps.astype(int)]
    mean, spread = np.sqrt(bars[0]) * m, bars[0] * c + 1.0 - bars[0]
    expected = []
    for bar, before in pairwise(bars):
        beta = 1.0 - bar / before
        noise = beta if variance == "large" else beta * (1.0 - before) / (1.0 - bar)
        # eps_hat = (x - sqrt(bar) E[x_0 | x]) / sqrt(1 - bar) is slope x + shift
        gain = np.sqrt(bar) * c / (bar * c + 1.0 - bar)
        slope = (1.0 - np.sqrt(bar) * gain) / np.sqrt(1.0 - bar)
        shift = -np.sqrt(bar) * (m - gain * np.sqrt(bar) * m) / np.sqrt(1.0 - bar)
        factor = (1.0 - beta / np.sqrt(1.0 - bar) * slope) / np.sqrt(1.0 - beta)
        mean = factor * mean - beta / np.sqrt((1.0 - bar) * (1.0 - beta)) * shift
        spread = factor**2 * spread + (noise if before < 1.0 else 0.0)
        expected.append((mean, spread))
    return relative(np.array(laws(case, schedule, timesteps, c, variance)), np.array(expected))


@check("ancestral-step", route="the paper's own symbols", tolerance=1e-12, cases=12)
def ancestral_step_in_the_symbols_of_the_paper(case: Case) -> float:
    """One step of a chain from eps, beta and alpha-bar, and its learned variance by elements."""
    table = linear_betas()
    variance = case.choose(["small", "large", "learned"])
    t = case.choose([1, 2, 3, 17, 500, 999])
    bars = np.cumprod(np.append(1.0, 1.0 - np.linspace(1e-4, 0.02, 1000)))
    beta, bar, before = 1.0 - bars[t] / bars[t - 1], bars[t], bars[t - 1]
    x_t, eps, z = case.rng.normal(size=(3, 4, 5))
    v = case.rng.uniform(0.0, 1.0, size=(4, 5))
    tilde = beta * (1.0 - before) / (1.0 - bar)
    noise: Any = {"small": tilde, "large": beta * (t > 1)}.get(variance, beta * v)
    expected = (x_t - beta / np.sqrt(1.0 - bar) * eps) / np.sqrt(1.0 - beta) + np.sqrt(noise) * z
    x_0 = (x_t - np.sqrt(1.0 - bar) * eps) / np.sqrt(bar)
    option: Any = variance if variance != "learned" else (lambda x, s, t: case.array(beta * v))
    (step,) = ddpm(
        lambda x, t: (case.array(x_0), case.array(eps)), table, case.array(x_t),
        np.array([t, t - 1.0]), variance=option, noise=lambda i: case.array(z),
    )  # fmt: skip
    return relative(step.x, expected)


@check("spread-from-error", route="errors of a denoiser at draws of its own", tolerance=1e-12)
def spread_is_estimated_on_the_grid(case: Case) -> float:
    """What the estimate over a grid keeps for each time, against its draws made again."""
    schedule, timesteps = linear_betas(), np.array([900.0, 300.0, 20.0, 0.0])
    mean, c = case.rng.normal(size=2), case.rng.uniform(0.1, 2.0, size=2)
    x_0, key = case.rng.normal(size=(6, 2)), Key(case.index, range(6))
    denoise = Gaussian(mean, c).denoiser(schedule)
    spread = estimate_mean_posterior_variance(denoise, schedule, case.array(x_0), timesteps, key)
    found, expected = [], []
    for i, t in enumerate(timesteps[:3].tolist()):
        a, v = float(schedule.alpha(t)), float(schedule.sigma(t)) ** 2
        z = Key(case.index, range(6), step=i).normal((2,))
        x_t = a * x_0 + np.sqrt(v) * z
        guess = (mean * v + c * a * x_t) / (a**2 * c + v)
        found.append(spread(t))
        expected.append(np.mean((guess - x_0) ** 2))
    return relative(found, expected)
