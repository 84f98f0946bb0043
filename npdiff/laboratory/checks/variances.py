"""Checks of the reverse variances, fixed, learned and optimal."""

import numpy as np

from npdiff import samplers
from npdiff.backend import Array, to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.checks._joint_normal import means_and_variances
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective.hybrid import LearnedVariance
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.process import marginal
from npdiff.random import Key
from npdiff.samplers.learned import with_variance
from npdiff.schedules import SCHEDULES, DiscreteSchedule, Schedule, linear_betas
from npdiff.variances import (
    estimate_mean_posterior_variance,
    interpolated,
    mean_posterior_variance_from_error,
    mean_posterior_variance_from_noise,
    optimal,
    optimal_variance,
)


@check(
    "interpolated-variance", "ancestral-step", method="a loop in DDPM's symbols", tolerance=1e-12
)
def learned_variances_step_by_step(case: Case) -> float:
    """Ancestral steps with a variance per element; the network runs once per step."""
    betas = case.rng.uniform(0.05, 0.4, 5)
    schedule, bars = DiscreteSchedule(betas), np.cumprod(1.0 - betas)
    shape = case.choose([(2, 3), (2, 2, 3), (1, 4, 1), (3, 2)])
    x, noise = case.normal(shape), case.rng.standard_normal((5, *shape))
    calls = []

    def network(x: Array, timestep: Array) -> Array:
        calls.append(1)
        embedded = timestep.reshape(-1, *(1,) * (x.ndim - 1)) / 5.0
        return case.xp.concatenate([case.xp.sin(x) + embedded, case.xp.tanh(x - embedded)], axis=-1)

    denoise, variance = with_variance(network, schedule, PARAMETERIZATIONS["eps"])
    steps = samplers.sample(
        "ddpm", denoise, schedule, x, np.arange(5.0, -1.0, -1.0), lambda i: case.array(noise[i]),
        variance=variance,
    )  # fmt: skip
    found, state, off = [step.x for step in steps], to_host(x), []
    for i, t in enumerate(range(5, 0, -1)):
        bar, beta, before = bars[t - 1], betas[t - 1], bars[t - 2] if t > 1 else 1.0
        eps, v = np.sin(state) + t / 5.0, np.tanh(state - t / 5.0)
        mean = (state - beta / np.sqrt(1.0 - bar) * eps) / np.sqrt(1.0 - beta)
        if t > 1:
            part = (v + 1.0) / 2.0
            tilde = beta * (1.0 - before) / (1.0 - bar)
            mean = mean + beta ** (part / 2.0) * tilde ** (0.5 - part / 2.0) * noise[i]
        state = mean
        off.append(relative(found[i], state))
    once = float(len(calls) != 5)
    _, again = with_variance(network, schedule, PARAMETERIZATIONS["eps"])
    alone = again(x, 2.0, 3.0)  # for a state that was not denoised before
    v = 0.5 * (np.tanh(to_host(x) - 3.0 / 5.0) + 1.0)
    tilde = betas[2] * (1.0 - bars[1]) / (1.0 - bars[2])
    return max(*off, once, relative(alone, betas[2] ** v * tilde ** (1.0 - v)))


@check("interpolated-variance", method="DDPM's betas", tolerance=1e-11, cases=3)
def a_learned_variance(case: Case) -> float:
    """The variance from the second half of a trained network's channels."""
    schedule = linear_betas()
    betas = np.linspace(1e-4, 0.02, 1000)
    bars = np.cumprod(1.0 - betas)
    t = case.choose([1, 2, 640])
    beta, row = betas[t - 1], max(t, 2)
    tilde = betas[row - 1] * (1.0 - bars[row - 2]) / (1.0 - bars[row - 1])
    x, v = case.rng.standard_normal((2, 3, 2))

    def network(x: np.ndarray, timestep: np.ndarray) -> np.ndarray:
        return np.concatenate([np.sin(x) + timestep[:, None], v], axis=-1)

    learned = LearnedVariance(network, schedule, PARAMETERIZATIONS["eps"])
    _, eps = learned(x, float(t))
    part = 0.5 * (v + 1.0)
    return max(
        relative(learned.variance(x, t - 1.0, float(t)), beta**part * tilde ** (1.0 - part)),
        relative(eps, np.sin(x) + t),
    )


def a_schedule(case: Case) -> Schedule:
    """The schedule of this case: cases cycle through the named schedules."""
    return SCHEDULES[case.choose(list(SCHEDULES))]()


def pair(case: Case, schedule: Schedule) -> tuple[float, float]:
    """Two distant times s < t inside a schedule, drawn in log-SNR."""
    low = float(schedule.log_snr(0.95 * schedule.t_max))
    high = min(float(schedule.log_snr(schedule.t_min)), low + 12.0)
    at_t = low + case.rng.uniform(0.05, 0.5) * (high - low)
    at_s = at_t + case.rng.uniform(0.2, 0.9) * (high - at_t)
    return float(schedule.time_at(at_s)), float(schedule.time_at(at_t))


def betas_of_step(betas: np.ndarray, s: int, t: int) -> tuple[float, float]:
    """DDPM's beta and beta-tilde of the step from t to s, from products of 1 - beta."""
    kept, before = float(np.prod(1.0 - betas[s:t])), float(np.prod(1.0 - betas[:s]))
    beta = 1.0 - kept
    return beta, beta * (1.0 - before) / (1.0 - before * kept)


@check("interpolated-variance", method="logarithms of products of betas", tolerance=1e-13, cases=8)
def interpolation_by_logarithms(case: Case) -> float:
    """exp(v ln beta + (1 - v) ln beta-tilde) with arbitrary betas, and its limit at 0."""
    betas = case.rng.uniform(0.01, 0.4, size=9)
    pairs = [(s, t) for t in range(2, 10) for s in range(1, t)]
    v = case.rng.uniform(-0.2, 1.2, size=(len(pairs), 3))
    logs = np.log([betas_of_step(betas, s, t) for s, t in pairs])
    s, t = np.array(pairs, dtype=float).T
    found = interpolated(DiscreteSchedule(betas), s, t, case.array(v))
    worst = relative(found, np.exp(v * logs[:, :1] + (1.0 - v) * logs[:, 1:]))
    ends = interpolated(DiscreteSchedule(betas), 0.0, 3.0, case.array([[0.0, 0.9, 1.0]]))
    return max(worst, relative(ends, [[0.0, 0.0, betas_of_step(betas, 0, 3)[0]]]))


@check(
    "optimal-variance",
    method="conditioning of a joint normal distribution",
    tolerance=1e-12,
    cases=2 * len(SCHEDULES),
)
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
    of_data = c - (a_t * c) ** 2 / (a_t**2 * c + v_t)
    worst = relative(optimal(schedule, s, t, float(of_data)), float(expected))
    by_sample = optimal(schedule, np.array([s, 0.0]), np.array([t, t]), np.full(2, float(of_data)))
    return max(worst, relative(by_sample, [float(expected), float(of_data)]))


@check(
    "optimal-variance",
    method="quadrature over the joint distribution of x_s and x_t",
    tolerance=1e-12,
)
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
        total = a_u**2 * c + v_u
        prior = (weights / np.sqrt(total) * np.exp(-0.5 * (x_u - a_u * means) ** 2 / total)).sum(
            axis=1, keepdims=True
        )
        joint = prior * np.exp(-0.5 * (x_t - a * x_u) ** 2 / v)
        of_t = joint.sum(axis=0)
        mean = (x_u * joint).sum(axis=0) / of_t
        return float((((x_u - mean) ** 2 * joint).sum(axis=0)).sum() / of_t.sum())

    return relative(optimal(schedule, s, t, expected_variance(0.0)), expected_variance(s))


#: Four pairs with means 0, second moments 1 and correlation 0, in place of random samples.
DESIGN = np.sqrt(2.0) * np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


@check(
    "posterior-variance-from-error",
    "posterior-variance-from-noise",
    method="sum of precisions",
    tolerance=1e-12,
    cases=2 * len(SCHEDULES),
)
def posterior_variance_by_precisions(case: Case) -> dict[str, float]:
    """On normal data, from samples with exact moments: 1 / (1 / c + SNR)."""
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
        "posterior-variance-from-error": relative(
            mean_posterior_variance_from_error(x_0, x0_hat), expected
        ),
        # unless the signal is so weak that 1 - E |eps_hat|^2 loses its digits
        "posterior-variance-from-noise": relative(
            mean_posterior_variance_from_noise(schedule, eps_hat, t), expected
        )
        * min(1.0, float(snr)),
    }


@check("optimal-variance", "ancestral-step", method="marginals of q", tolerance=1e-12, cases=6)
def optimal_is_exact_on_normal_data(case: Case) -> float:
    """With the optimal variance every state has the distribution of q, for any N: a ratio of 1."""
    schedule, c = linear_betas(), case.choose([1.0, 0.25, 0.01])
    steps = case.choose([1, 10, 100, 1000, 2, 37])
    timesteps = np.append(np.round(np.linspace(1000.0, 1.0, steps)), 0.0)

    def variance_at(t: float) -> float:
        return 1.0 / (1.0 / c + float(np.exp(schedule.log_snr(t))))

    found = np.array(
        means_and_variances(case, schedule, timesteps, c, optimal_variance(schedule, variance_at))
    )
    alpha, sigma = schedule.alpha(timesteps[1:]), schedule.sigma(timesteps[1:])
    deviation = np.sqrt(found[:, 1] / (alpha**2 * c + sigma**2))
    return max(relative(found[:, 0], 0.7 * alpha), relative(deviation, np.ones(steps)))


@check("posterior-variance-from-error", method="errors of a denoiser at its draws", tolerance=1e-12)
def posterior_variance_at_timesteps(case: Case) -> float:
    """The estimate at each timestep, against the errors at the same draws."""
    schedule, timesteps = linear_betas(), np.array([900.0, 300.0, 20.0, 0.0])
    mean, c = case.rng.normal(size=2), case.rng.uniform(0.1, 2.0, size=2)
    x_0, key = case.rng.normal(size=(6, 2)), Key(case.index, range(6))
    denoise = Gaussian(mean, c).denoiser(schedule)
    variance_at = estimate_mean_posterior_variance(
        denoise, schedule, case.array(x_0), timesteps, key
    )
    found, expected = [], []
    for i, t in enumerate(timesteps[:3].tolist()):
        a, v = float(schedule.alpha(t)), float(schedule.sigma(t)) ** 2
        z = Key(case.index, range(6), step=i).normal((2,))
        x_t = a * x_0 + np.sqrt(v) * z
        guess = (mean * v + c * a * x_t) / (a**2 * c + v)
        found.append(variance_at(t))
        expected.append(np.mean((guess - x_0) ** 2))
    return relative(found, expected)
