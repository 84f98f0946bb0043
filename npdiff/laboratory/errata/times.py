"""Errata of the times that samplers visit: where they start, where they go, where they end."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.laboratory.errata.record import MEASURED, READ, SAID, Finding, Place, erratum
from npdiff.samplers import ddim, ddpm
from npdiff.schedules import EDM, Schedule, Times, linear_betas, scaled_linear_betas
from npdiff.spacings import karras, linspace, trailing

#: Data that are one point.
POINT = 0.4


def perfect(schedule: Schedule) -> Denoise:
    """The perfect denoiser of one point."""

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        return POINT + 0.0 * x, (x - schedule.alpha(t) * POINT) / schedule.sigma(t)

    return denoise


@erratum(
    "leading-spacing",
    title="Sampling that starts below T, from noise that belongs to T",
    places=(
        Place("diffusers #2585, #10003: timestep_spacing='leading'", SAID),
        Place("found by Lin et al. 2024, section 3.3 and Table 2", SAID),
    ),
    wrong=r"t_0 = 1 + (N - 1) \lfloor T / N \rfloor",
    right=r"t_0 = T",
    labels=("leading-spacing", "trailing-spacing"),
    route="log-SNR of the first time that is visited, from the product of the betas, beside that "
    "of T",
    tolerance=1e-9,
    matters="On Stable Diffusion's betas, N = 10 starts with a signal of {signal_10:.2f} where T "
    "has {signal_T:.3f}, N = 50 with {signal_50:.3f}. What starts as pure noise is then read as a "
    "picture of mean 0. On DDPM's linear betas T has {linear_T:.4f} and N = 50 {linear_50:.4f}: "
    "little at 50 steps, more at 10.",
)
def leading_spacing() -> Finding:
    """Whole strides counted from the data end one stride before T, more where N does not divide."""
    table = scaled_linear_betas()
    abar = np.concatenate([[1.0], np.cumprod(1.0 - table.betas[1:])])

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
    right = max(off(trailing(table, n)[0]) for n in counts)
    return Finding(max(off(first(n)) for n in counts), right, figures)


@erratum(
    "previous-time-by-division",
    title="DDIM's next time by division, on grids that are not spaced so",
    places=(
        Place("diffusers, DDIMScheduler.step: prev_timestep = timestep - T // N", READ),
        Place("its samples with 'trailing' and 'linspace' spacing", MEASURED),
    ),
    wrong=r"x_s \text{ is made for } s = t_k - \lfloor T / N \rfloor"
    r" \text{ and read at } t_{k+1}",
    right=r"s = t_{k+1}",
    labels=("ddim-step", "trailing-spacing", "linspace-spacing"),
    route="data that are one point: DDIM is exact on them, and the estimated noise must not "
    "change on the way",
    tolerance=1e-9,
    matters="On Gaussian data of variance 1/4 the standard deviation of the samples, relative to "
    "the data's, is {trailing_300:.4f} on 'trailing' with N = 300 and {linspace_300:.4f} on "
    "'linspace'; with the right times {right_300:.4f}. At N = 30 it is {trailing_30:.4f} and "
    "{linspace_30:.4f} beside {right_30:.4f}, at N = 100 {trailing_100:.4f} and "
    "{linspace_100:.4f} beside {right_100:.4f}. 'trailing' is not affected where N divides T.",
)
def previous_time_by_division() -> Finding:
    """The division gives the spacing of one grid, 'leading'. On others the state is made for one
    time and shown to the network as that of another."""
    table = linear_betas()
    noise = np.array([[-1.3, 0.2, 0.9]])

    def divided(denoise: Denoise, x: Array, timesteps: np.ndarray) -> tuple[Array, list[Array]]:
        stride, seen = 1000 // (len(timesteps) - 1), []
        for t in timesteps[:-1]:
            x_0, eps = denoise(x, t)
            seen.append(eps)
            s = max(t - stride, 0.0)
            x = table.alpha(s) * x_0 + table.sigma(s) * eps
        return x, seen

    point = perfect(table)
    wrong = right = 0.0
    for timesteps in (trailing(table, 300), linspace(table, 300)):
        start = table.alpha(1000) * POINT + table.sigma(1000) * noise
        _, seen = divided(point, start, timesteps)
        wrong = max(wrong, *(float(np.abs(eps - noise).max()) for eps in seen))
        for step in ddim(point, table, start, timesteps[:-1]):
            _, eps = point(step.x, step.t)
            right = max(right, float(np.abs(eps - noise).max()))

    def gaussian(x: Array, t: Times) -> tuple[Array, Array]:
        alpha, sigma = table.alpha(t), table.sigma(t)
        x_0 = alpha * 0.25 / (alpha**2 * 0.25 + sigma**2) * x
        return x_0, (x - alpha * x_0) / sigma

    start = np.sqrt(table.alpha(1000) ** 2 * 0.25 + table.sigma(1000) ** 2) * np.ones((1, 1))
    figures = {}
    for n in (30, 100, 300):
        for grid in (trailing, linspace):
            figures[f"{grid.__name__}_{n}"] = (
                divided(gaussian, start, grid(table, n))[0][0, 0] / 0.5
            )
        *_, last = ddim(gaussian, table, start, trailing(table, n))
        figures[f"right_{n}"] = last.x[0, 0] / 0.5
    return Finding(wrong, right, figures)


@erratum(
    "one-step-back-where-many-are-skipped",
    title="The posterior of one step, used for a stride",
    places=(Place("diffusers #2076, DDPMScheduler with fewer steps than T", SAID),),
    wrong=r"q(x_{t-1} \mid x_t, \hat x_0) \quad\text{on the way from } t \text{ to } s < t - 1",
    right=r"q(x_s \mid x_t, \hat x_0)",
    labels=("posterior-mean", "posterior-variance", "ancestral-step"),
    route="data that are one point: after a step the mean has to be alpha_s times it, the "
    "variance sigma_s^2",
    tolerance=1e-10,
    matters="With 50 of 1000 steps the state that is taken for that of t = 20 still has a "
    "variance of {left:.2f}, where {should:.3f} would be right: the samples are noise, as was "
    "reported. With all T steps the two are one.",
)
def one_step_back_where_many_are_skipped() -> Finding:
    """Each step has to lead to the time at which the next one begins."""
    table, timesteps = linear_betas(), np.arange(1000.0, 0.0, -20.0)
    abar = np.concatenate([[1.0], np.cumprod(1.0 - table.betas[1:])])

    def walk(stride: int) -> tuple[float, float, float]:
        """The largest deviation from q, and the last variance and the one it should be."""
        mean, variance, off = math.sqrt(abar[1000]) * POINT, 1.0 - abar[1000], 0.0
        for t, s in pairwise(timesteps.astype(int)):
            to = t - stride
            beta = 1.0 - abar[t] / abar[to]
            kept = math.sqrt(1.0 - beta) * (1.0 - abar[to]) / (1.0 - abar[t])
            mean = kept * mean + math.sqrt(abar[to]) * beta / (1.0 - abar[t]) * POINT
            variance = kept**2 * variance + (1.0 - abar[to]) / (1.0 - abar[t]) * beta
            off = max(off, abs(mean - math.sqrt(abar[s]) * POINT), abs(variance - 1.0 + abar[s]))
        return off, variance, 1.0 - abar[20]

    wrong, left, should = walk(1)

    # A row for each independent draw, of the start and of every step: their variances add up.
    rows = np.arange(len(timesteps) + 1)
    start = table.alpha(1000) * POINT + table.sigma(1000) * (rows[:, None] == 1)
    *_, last = ddpm(
        perfect(table), table, start, timesteps, noise=lambda i: 1.0 * (rows[:, None] == i + 2)
    )
    mean, each = last.x[0, 0], last.x[1:, 0] - last.x[0, 0]
    variance = float(np.sum(each**2))
    right = max(abs(mean - math.sqrt(abar[20]) * POINT), abs(variance - (1.0 - abar[20])))
    return Finding(wrong, right, {"left": left, "should": should})


@erratum(
    "last-sigma-twice",
    title="The smallest sigma twice, and never 0",
    places=(Place("diffusers #6477, DPM-Solver++ with Karras sigmas", SAID),),
    wrong=r"\varsigma_0 > \dots > \varsigma_{N-1} = \varsigma_N = \varsigma_{\min}",
    right=r"\varsigma_0 > \dots > \varsigma_{N-1} = \varsigma_{\min} > \varsigma_N = 0",
    labels=("karras-spacing",),
    route="data that are one point, with the perfect denoiser: the sample has to be that point",
    tolerance=1e-12,
    matters="The last step has no length, and the samples keep the noise of the smallest sigma: "
    "{edm:.3f} on EDM's levels, {scaled:.3f} on those of Stable Diffusion, whatever N.",
)
def last_sigma_twice() -> Finding:
    """N levels are N - 1 steps; the last of N steps has to lead to 0."""
    schedule, noise = EDM(), np.array([[-1.3, 0.2, 0.9]])
    timesteps = karras(schedule, 18)
    start = POINT + timesteps[0] * noise
    *_, right = ddim(perfect(schedule), schedule, start, timesteps)
    x = start
    for t, s in pairwise([*timesteps[:-1], timesteps[-2]]):
        x_0, eps = perfect(schedule)(x, t)
        x = x_0 + s * eps
    table = scaled_linear_betas()
    figures = {"edm": timesteps[-2], "scaled": table.sigma(1) / table.alpha(1)}
    return Finding(float(np.abs(x - POINT).max()), float(np.abs(right.x - POINT).max()), figures)


@erratum(
    "data-at-one",
    title="alpha-bar_1 in the place of alpha-bar_0 in the last step",
    places=(
        Place(
            "latent-diffusion #136: the DDIM sampler's previous alpha-bars begin with the first "
            "of the chain",
            SAID,
        ),
        Place("diffusers #6068, #6926, #7128: set_alpha_to_one=False", SAID),
    ),
    wrong=r"\bar\alpha_0 := \bar\alpha_1",
    right=r"\bar\alpha_0 = 1",
    labels=("alpha-bar", "ddim-step"),
    route="data that are one point, with the perfect denoiser: the sample has to be that point",
    tolerance=1e-12,
    matters="The samples keep the noise of the first step, a standard deviation of {linear:.3f} "
    "with DDPM's linear betas and {scaled:.3f} with those of Stable Diffusion. In pixels of 256 "
    "levels that is {levels:.1f} levels.",
)
def data_at_one() -> Finding:
    """A chain has T + 1 states. Where a table starts at the first noisy one, the last step of a
    sampler goes to that state again, and its noise stays in the sample."""
    table, noise = linear_betas(), np.linspace(-2.0, 2.0, 9)[:, None]
    x = table.alpha(1) * POINT + table.sigma(1) * noise
    (right,) = ddim(perfect(table), table, x, np.array([1.0, 0.0]))
    x_0, eps = perfect(table)(x, 1.0)
    wrong = table.alpha(1) * x_0 + table.sigma(1) * eps
    sigma = float(table.sigma(1))
    figures = {
        "linear": sigma,
        "scaled": float(scaled_linear_betas().sigma(1)),
        "levels": 127.5 * sigma,
    }
    off = [float(np.abs(found - POINT).max()) for found in (wrong, right.x)]
    return Finding(off[0], off[1], figures)
