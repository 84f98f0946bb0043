"""Errata of sampling timesteps: the first, the next and the last one."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.laboratory.errata.record import MEASURED, QUOTED, READ, Occurrence, Residuals, erratum
from npdiff.samplers import ddim, ddpm
from npdiff.schedules import EDM, Schedule, Times, linear_betas, scaled_linear_betas
from npdiff.spacings import karras, linspace, trailing

#: Data that are one point.
POINT = 0.4


def point_denoiser(schedule: Schedule) -> Denoise:
    """The exact denoiser for one point."""

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        return POINT + 0.0 * x, (x - schedule.alpha(t) * POINT) / schedule.sigma(t)

    return denoise


@erratum(
    "leading-spacing",
    title="Sampling that starts below T, with the noise of T",
    occurrences=(
        Occurrence("diffusers #2585, #10003: timestep_spacing='leading'", QUOTED),
        Occurrence("described by Lin et al. 2024, section 3.3 and Table 2", QUOTED),
    ),
    wrong=r"t_0 = 1 + (N - 1) \lfloor T / N \rfloor",
    right=r"t_0 = T",
    labels=("leading-spacing", "trailing-spacing"),
    method="log-SNR at the first timestep, from the product of the betas, compared with that at T",
    tolerance=1e-9,
    impact="With Stable Diffusion's betas, N = 10 starts at a signal scale of {signal_10:.2f}, N "
    "= 50 at {signal_50:.3f}, and T has {signal_T:.3f}. Pure noise is then interpreted as an "
    "image of mean 0. With DDPM's linear betas T has {linear_T:.4f} and N = 50 {linear_50:.4f}: "
    "the effect is small at 50 steps, larger at 10.",
)
def leading_spacing() -> Residuals:
    """Integer strides from the data end one stride before T, or more if N does not divide T."""
    schedule = scaled_linear_betas()
    abar = np.concatenate([[1.0], np.cumprod(1.0 - schedule.betas[1:])])

    def off(t: float) -> float:
        snr, last = (a / (1.0 - a) for a in (abar[int(t)], abar[1000]))
        return abs(math.log(snr / last))

    def first(n: int) -> int:
        return 1 + (n - 1) * (1000 // n)

    counts, linear = (10, 25, 30, 50, 100), linear_betas()
    figures = {
        "signal_10": math.sqrt(abar[first(10)]),
        "signal_50": math.sqrt(abar[first(50)]),
        "signal_T": math.sqrt(abar[1000]),
        "linear_50": float(linear.alpha(first(50))),
        "linear_T": float(linear.alpha(1000)),
    }
    right = max(off(trailing(schedule, n)[0]) for n in counts)
    return Residuals(max(off(first(n)) for n in counts), right, figures)


@erratum(
    "previous-time-by-division",
    title="DDIM's next time by division, for timesteps with another spacing",
    occurrences=(
        Occurrence("diffusers, DDIMScheduler.step: prev_timestep = timestep - T // N", READ),
        Occurrence("its samples with 'trailing' and 'linspace' spacing", MEASURED),
    ),
    wrong=r"x_s \text{ is computed for } s = t_k - \lfloor T / N \rfloor"
    r" \text{ and used at } t_{k+1}",
    right=r"s = t_{k+1}",
    labels=("ddim-step", "trailing-spacing", "linspace-spacing"),
    method="data that are one point: DDIM is exact for them, and the estimated noise must be "
    "constant",
    tolerance=1e-9,
    impact="For Gaussian data of variance 1/4 the standard deviation of the samples, relative to "
    "the data's, is {trailing_300:.4f} for 'trailing' with N = 300 and {linspace_300:.4f} for "
    "'linspace'; with the right times {right_300:.4f}. At N = 30 it is {trailing_30:.4f} and "
    "{linspace_30:.4f} instead of {right_30:.4f}, at N = 100 {trailing_100:.4f} and "
    "{linspace_100:.4f} instead of {right_100:.4f}. 'trailing' is right if N divides T.",
)
def previous_time_by_division() -> Residuals:
    """The division gives the spacing of 'leading' only. With others the state is computed for one
    time and passed to the network with another."""
    schedule = linear_betas()
    noise = np.array([[-1.3, 0.2, 0.9]])

    def divided(denoise: Denoise, x: Array, timesteps: np.ndarray) -> tuple[Array, list[Array]]:
        stride, noises = 1000 // (len(timesteps) - 1), []
        for t in timesteps[:-1]:
            x0_hat, eps_hat = denoise(x, t)
            noises.append(eps_hat)
            s = max(t - stride, 0.0)
            x = schedule.alpha(s) * x0_hat + schedule.sigma(s) * eps_hat
        return x, noises

    point = point_denoiser(schedule)
    wrong = right = 0.0
    for timesteps in (trailing(schedule, 300), linspace(schedule, 300)):
        start = schedule.alpha(1000) * POINT + schedule.sigma(1000) * noise
        _, noises = divided(point, start, timesteps)
        wrong = max(wrong, *(float(np.abs(eps - noise).max()) for eps in noises))
        for step in ddim(point, schedule, start, timesteps[:-1]):
            _, eps = point(step.x, step.t)
            right = max(right, float(np.abs(eps - noise).max()))

    def gaussian(x: Array, t: Times) -> tuple[Array, Array]:
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        x_0 = alpha * 0.25 / (alpha**2 * 0.25 + sigma**2) * x
        return x_0, (x - alpha * x_0) / sigma

    start = np.sqrt(schedule.alpha(1000) ** 2 * 0.25 + schedule.sigma(1000) ** 2) * np.ones((1, 1))
    figures = {}
    for n in (30, 100, 300):
        for spacing in (trailing, linspace):
            figures[f"{spacing.__name__}_{n}"] = (
                divided(gaussian, start, spacing(schedule, n))[0][0, 0] / 0.5
            )
        *_, last = ddim(gaussian, schedule, start, trailing(schedule, n))
        figures[f"right_{n}"] = last.x[0, 0] / 0.5
    return Residuals(wrong, right, figures)


@erratum(
    "one-step-posterior-for-a-stride",
    title="The posterior of one step, used for a stride",
    occurrences=(Occurrence("diffusers #2076, DDPMScheduler with fewer steps than T", QUOTED),),
    wrong=r"q(x_{t-1} \mid x_t, \hat x_0) \quad\text{in the step from } t \text{ to } s < t - 1",
    right=r"q(x_s \mid x_t, \hat x_0)",
    labels=("posterior-mean", "posterior-variance", "ancestral-step"),
    method="data that are one point: after a step the mean must be alpha_s times the point, the "
    "variance sigma_s^2",
    tolerance=1e-10,
    impact="With 50 of 1000 steps the state at t = 20 still has a variance of {left:.2f} instead "
    "of {should:.3f}: the samples are noise, as reported. With all T steps the two agree.",
)
def one_step_posterior_for_a_stride() -> Residuals:
    """Each step must end at the time at which the next one begins."""
    schedule, timesteps = linear_betas(), np.arange(1000.0, 0.0, -20.0)
    abar = np.concatenate([[1.0], np.cumprod(1.0 - schedule.betas[1:])])

    def run_with(stride: int) -> tuple[float, float, float]:
        """The largest deviation from q, the last variance and the right last variance."""
        mean, variance, off = math.sqrt(abar[1000]) * POINT, 1.0 - abar[1000], 0.0
        for t, s in pairwise(timesteps.astype(int)):
            to = t - stride
            beta = 1.0 - abar[t] / abar[to]
            kept = math.sqrt(1.0 - beta) * (1.0 - abar[to]) / (1.0 - abar[t])
            mean = kept * mean + math.sqrt(abar[to]) * beta / (1.0 - abar[t]) * POINT
            variance = kept**2 * variance + (1.0 - abar[to]) / (1.0 - abar[t]) * beta
            off = max(off, abs(mean - math.sqrt(abar[s]) * POINT), abs(variance - 1.0 + abar[s]))
        return off, variance, 1.0 - abar[20]

    wrong, left, should = run_with(1)

    # One row per independent draw, of the start and of every step: their variances add up.
    rows = np.arange(len(timesteps) + 1)
    start = schedule.alpha(1000) * POINT + schedule.sigma(1000) * (rows[:, None] == 1)
    *_, last = ddpm(
        point_denoiser(schedule),
        schedule,
        start,
        timesteps,
        noise=lambda i: 1.0 * (rows[:, None] == i + 2),
    )
    mean, each = last.x[0, 0], last.x[1:, 0] - last.x[0, 0]
    variance = float(np.sum(each**2))
    right = max(abs(mean - math.sqrt(abar[20]) * POINT), abs(variance - (1.0 - abar[20])))
    return Residuals(wrong, right, {"left": left, "should": should})


@erratum(
    "last-sigma-twice",
    title="The smallest sigma twice, and never 0",
    occurrences=(Occurrence("diffusers #6477, DPM-Solver++ with Karras sigmas", QUOTED),),
    wrong=r"\varsigma_0 > \dots > \varsigma_{N-1} = \varsigma_N = \varsigma_{\min}",
    right=r"\varsigma_0 > \dots > \varsigma_{N-1} = \varsigma_{\min} > \varsigma_N = 0",
    labels=("karras-spacing",),
    method="data that are one point, with the exact denoiser: the sample must be the point",
    tolerance=1e-12,
    impact="The last step has length 0, and the samples keep the noise of the smallest sigma: "
    "{edm:.3f} with EDM's levels, {scaled:.3f} with those of Stable Diffusion, for any N.",
)
def last_sigma_twice() -> Residuals:
    """N levels make N - 1 steps; the last of N steps must end at 0."""
    schedule, noise = EDM(), np.array([[-1.3, 0.2, 0.9]])
    timesteps = karras(schedule, 18)
    start = POINT + timesteps[0] * noise
    *_, right = ddim(point_denoiser(schedule), schedule, start, timesteps)
    x = start
    for t, s in pairwise([*timesteps[:-1], timesteps[-2]]):
        x_0, eps = point_denoiser(schedule)(x, t)
        x = x_0 + s * eps
    discrete = scaled_linear_betas()
    figures = {"edm": timesteps[-2], "scaled": discrete.sigma(1) / discrete.alpha(1)}
    return Residuals(float(np.abs(x - POINT).max()), float(np.abs(right.x - POINT).max()), figures)


@erratum(
    "alpha-bar-one-for-zero",
    title="alpha-bar_1 instead of alpha-bar_0 in the last step",
    occurrences=(
        Occurrence(
            "latent-diffusion #136: the DDIM sampler's previous alpha-bars begin with alpha-bar_1",
            QUOTED,
        ),
        Occurrence("diffusers #6068, #6926, #7128: set_alpha_to_one=False", QUOTED),
    ),
    wrong=r"\bar\alpha_0 := \bar\alpha_1",
    right=r"\bar\alpha_0 = 1",
    labels=("alpha-bar", "ddim-step"),
    method="data that are one point, with the exact denoiser: the sample must be the point",
    tolerance=1e-12,
    impact="The samples keep the noise of the first step, a standard deviation of {linear:.3f} "
    "with DDPM's linear betas and {scaled:.3f} with those of Stable Diffusion: {levels:.1f} of "
    "256 pixel levels.",
)
def alpha_bar_one_for_zero() -> Residuals:
    """A discrete schedule has T + 1 states. If its array starts at the first noisy one, the last
    step of a sampler ends at that state, and its noise stays in the sample."""
    schedule, noise = linear_betas(), np.linspace(-2.0, 2.0, 9)[:, None]
    x = schedule.alpha(1) * POINT + schedule.sigma(1) * noise
    (right,) = ddim(point_denoiser(schedule), schedule, x, np.array([1.0, 0.0]))
    x_0, eps = point_denoiser(schedule)(x, 1.0)
    wrong = schedule.alpha(1) * x_0 + schedule.sigma(1) * eps
    sigma = float(schedule.sigma(1))
    figures = {
        "linear": sigma,
        "scaled": float(scaled_linear_betas().sigma(1)),
        "levels": 127.5 * sigma,
    }
    off = [float(np.abs(found - POINT).max()) for found in (wrong, right.x)]
    return Residuals(off[0], off[1], figures)
