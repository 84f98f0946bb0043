"""Checks of the Gaussians q: marginal, transition, posterior."""

import numpy as np

from npdiff.laboratory.checks._schedules import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.process import marginal, posterior_mean, posterior_variance, transition
from npdiff.schedules import SCHEDULES, Schedule, linear_betas


def discrete_schedule(case: Case) -> tuple[Schedule, np.ndarray]:
    """A discrete schedule with arbitrary betas, and the betas."""
    betas = case.rng.uniform(0.01, 0.4, size=12)
    schedule = linear_betas(12)
    return type(schedule)(betas), betas


def composed(betas: np.ndarray) -> tuple[float, float]:
    """Factor and variance of x <- sqrt(1 - beta) x + sqrt(beta) z, iterated over the betas."""
    factor, variance = 1.0, 0.0
    for beta in betas:
        factor *= (1.0 - beta) ** 0.5
        variance = (1.0 - beta) * variance + beta
    return factor, variance


@check("marginal", method="composition of T one-step kernels", tolerance=1e-13)
def marginal_by_composition(case: Case) -> float:
    """The moments of q(x_t | x_0) against those of the one-step kernels, composed."""
    schedule, betas = discrete_schedule(case)
    x_0, eps = case.normal((12, 3)) + 0.7, case.normal((12, 3))
    found = marginal(schedule, x_0, eps, np.arange(1.0, 13.0))
    moments = np.array([composed(betas[:t]) for t in range(1, 13)])
    factor, deviation = case.array(moments[:, :1]), case.array(np.sqrt(moments[:, 1:]))
    return relative(found, factor * x_0 + deviation * eps)


@check("transition", method="composition of the kernels between s and t", tolerance=1e-12)
def transition_by_composition(case: Case) -> float:
    """The kernel q(x_t | x_s) against its one-step kernels, composed."""
    schedule, betas = discrete_schedule(case)
    pairs = [(s, t) for t in range(1, 13) for s in range(t)]
    expected = np.array([composed(betas[s:t]) for s, t in pairs])
    s, t = np.array(pairs, dtype=float).T
    return relative(np.stack(transition(schedule, s, t), axis=1), expected)


@check(
    "transition", method="the Chapman-Kolmogorov equation", tolerance=1e-11, cases=len(SCHEDULES)
)
def transition_by_semigroup(case: Case) -> float:
    """From 0 to s to t is from 0 to t, in the marginals of every schedule."""
    schedule = a_schedule(case)
    s, t = timesteps(case, schedule, 2)
    factor, variance = transition(schedule, s, t)
    to_s, to_t = (
        [float(marginal(schedule, np.array([[a]]), np.array([[1.0 - a]]), u)[0, 0]) for a in (1, 0)]
        for u in (s, t)
    )
    return max(
        relative(factor * to_s[0], to_t[0]),
        relative(factor**2 * to_s[1] ** 2 + variance, to_t[1] ** 2),
    )


@check(
    "posterior-mean",
    "posterior-variance",
    method="Bayes' rule on a grid of x_s",
    tolerance=1e-9,
    cases=len(SCHEDULES),
)
def posterior_by_bayes(case: Case) -> dict[str, float]:
    """Mean and variance of q(x_s | x_t, x_0) against the moments of prior times likelihood."""
    schedule = a_schedule(case)
    s, t = timesteps(case, schedule, 2)
    alpha_s, sigma_s, alpha_t, sigma_t = (
        float(scale) for u in (s, t) for scale in (schedule.alpha(u), schedule.sigma(u))
    )
    x_0 = case.rng.normal(0.8, 0.5)
    x_t = alpha_t * x_0 + sigma_t * case.rng.normal()
    factor = alpha_t / alpha_s
    step = sigma_t**2 - factor**2 * sigma_s**2
    # Where prior and likelihood overlap; the trapezoidal rule is exact to rounding there.
    x_s = np.linspace(alpha_s * x_0 - 10.0 * sigma_s, alpha_s * x_0 + 10.0 * sigma_s, 200_001)
    logs = -0.5 * ((x_s - alpha_s * x_0) / sigma_s) ** 2 - 0.5 * (x_t - factor * x_s) ** 2 / step
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    mean = weights @ x_s
    variance = weights @ (x_s - mean) ** 2
    found = posterior_mean(schedule, case.array([[x_0]]), case.array([[x_t]]), s, t)
    return {
        "posterior-mean": relative(found, np.array([[mean]])),
        "posterior-variance": relative(posterior_variance(schedule, s, t), variance),
    }


@check("posterior-mean", "posterior-variance", method="DDPM's symbols", tolerance=1e-12)
def posterior_in_betas(case: Case) -> dict[str, float]:
    """Successive times against mu-tilde and beta-tilde, written in beta and alpha-bar."""
    schedule, betas = discrete_schedule(case)
    kept = np.concatenate([[1.0], np.cumprod(1.0 - betas)])
    t = np.arange(1, 13)
    x_0, x_t = case.normal((12, 2)) + 0.7, case.normal((12, 2))
    of_x_0 = np.sqrt(kept[:-1]) * betas / (1.0 - kept[1:])
    of_x_t = np.sqrt(1.0 - betas) * (1.0 - kept[:-1]) / (1.0 - kept[1:])
    mean = case.array(of_x_0[:, None]) * x_0 + case.array(of_x_t[:, None]) * x_t
    variance = (1.0 - kept[:-1]) / (1.0 - kept[1:]) * betas
    return {
        "posterior-mean": relative(posterior_mean(schedule, x_0, x_t, t - 1.0, t), mean),
        "posterior-variance": relative(posterior_variance(schedule, t - 1.0, t), variance),
    }
