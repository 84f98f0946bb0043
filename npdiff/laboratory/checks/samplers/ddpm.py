"""Checks of ancestral sampling."""

from itertools import pairwise
from typing import Any

import numpy as np

from npdiff.laboratory.checks._joint_normal import means_and_variances
from npdiff.laboratory.checks.samplers._weak_order import weak_order_error
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import ddpm
from npdiff.schedules import linear_betas


@check("ancestral-step", method="recursion of mean and variance", tolerance=1e-12, cases=6)
def ancestral_moments(case: Case) -> float:
    """Mean and variance of normal samples, by a recursion in DDPM's symbols over strided betas."""
    variance, steps = case.choose(["small", "large"]), case.choose([10, 10, 60, 60, 250, 250])
    schedule, c, m = linear_betas(), case.rng.uniform(0.05, 2.0), 0.7
    timesteps = np.append(np.round(np.linspace(1000.0, 1.0, steps)), 0.0)
    bars = np.cumprod(np.append(1.0, 1.0 - np.linspace(1e-4, 0.02, 1000)))[timesteps.astype(int)]
    mean, total_variance = np.sqrt(bars[0]) * m, bars[0] * c + 1.0 - bars[0]
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
        total_variance = factor**2 * total_variance + (noise if before < 1.0 else 0.0)
        expected.append((mean, total_variance))
    return relative(
        np.array(means_and_variances(case, schedule, timesteps, c, variance)), np.array(expected)
    )


@check("ancestral-step", method="the paper's symbols", tolerance=1e-12, cases=12)
def ancestral_step_in_the_symbols_of_the_paper(case: Case) -> float:
    """One step from eps, beta and alpha-bar, and its learned variance element by element."""
    schedule = linear_betas()
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
        lambda x, t: (case.array(x_0), case.array(eps)), schedule, case.array(x_t),
        np.array([t, t - 1.0]), variance=option, noise=lambda i: case.array(z),
    )  # fmt: skip
    return relative(step.x, expected)


@check("ancestral-step", method="mean and variance, steps doubled", tolerance=0.15, cases=2)
def weak_order_of_ancestral_sampling(case: Case) -> float:
    """Mean and variance converge with order 1, with both variances."""
    return weak_order_error(case, "ddpm", 1.0, variance=case.choose(["small", "large"]))
