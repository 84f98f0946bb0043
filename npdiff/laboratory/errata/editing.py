"""Errata of editing: inpainting, renoising, inversion."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.editing import renoise, replace_known
from npdiff.laboratory.errata.record import QUOTED, READ, Occurrence, Residuals, erratum
from npdiff.laboratory.errata.times import POINT, point_denoiser
from npdiff.samplers._ddim import ddim_inversion
from npdiff.schedules import linear_betas


def _composed(betas: np.ndarray) -> tuple[float, float]:
    """Scale and variance of the composition of one-step kernels."""
    scale, variance = 1.0, 0.0
    for beta in betas.tolist():
        scale, variance = math.sqrt(1.0 - beta) * scale, (1.0 - beta) * variance + beta
    return scale, variance


@erratum(
    "known-pixels",
    title="RePaint's known pixels with a variance for a standard deviation",
    occurrences=(
        Occurrence(
            "Lugmayr et al. 2022 (RePaint), Algorithm 1, line 5; their program and Eq. 8a have "
            "the root",
            QUOTED,
        ),
        Occurrence(
            "RePaint #17; diffusers #9900, #10185, which changed the program to the misprint, and "
            "#10644, which reverted it",
            QUOTED,
        ),
    ),
    wrong=r"x_{t-1}^{\text{known}} = \sqrt{\bar\alpha_t}\, x_0 + (1 - \bar\alpha_t)\, \epsilon",
    right=r"x_{t-1}^{\text{known}} = \sqrt{\bar\alpha_{t-1}}\, x_0"
    r" + \sqrt{1 - \bar\alpha_{t-1}}\, \epsilon",
    labels=("replacement", "marginal"),
    method="mean and variance of the composition of t - 1 one-step kernels",
    tolerance=1e-12,
    impact="The known pixels have {early:.2f} times the noise of their neighbors at t = 10, "
    "{middle:.2f} times at t = 100 and {late:.2f} times at t = 500: they are cleaner than they "
    "should be, and the network's input is inconsistent. A library had the formula of the paper "
    "for weeks; the thread that reverted it has degraded images. Using t instead of t - 1 alone "
    "changes the noise by {shift:.1%} at t = 100.",
)
def known_pixels() -> Residuals:
    """To draw from N(sqrt(a) x_0, (1 - a) I) the algorithm multiplies the noise by the variance,
    and takes a from the time before the step for the state after it."""
    schedule, x_0, wrong, right, figures = linear_betas(), np.full((1, 1), 0.7), 0.0, 0.0, {}
    for name, t in (("early", 10), ("middle", 100), ("late", 500)):
        scale, variance = _composed(schedule.betas[1:t])
        abar = float(np.prod(1.0 - schedule.betas[1 : t + 1]))
        figures[name] = (1.0 - abar) / math.sqrt(variance)
        if name == "middle":
            figures["shift"] = math.sqrt((1.0 - abar) / variance) - 1.0
        wrong = max(wrong, abs(figures[name] - 1.0))
        no_noise, unit_noise = (
            replace_known(
                schedule, x_0, x_0, np.ones((1, 1), dtype=bool), t - 1.0, np.full((1, 1), z)
            )
            for z in (0.0, 1.0)
        )
        right = max(right, abs(float(no_noise[0, 0]) / (scale * 0.7) - 1.0))
        right = max(right, abs(float((unit_noise - no_noise)[0, 0]) / math.sqrt(variance) - 1.0))
    return Residuals(wrong, right, figures)


@erratum(
    "noising-by-differences",
    title="A difference of standard deviations instead of variances",
    occurrences=(
        Occurrence("DALLE2-pytorch and imagen-pytorch, q_sample_from_to, for resampling", READ),
        Occurrence("denoising-diffusion-pytorch #290, a copy of it", QUOTED),
    ),
    wrong=r"x_t = \frac{\alpha_t}{\alpha_s} x_s"
    r" + \left( \sigma_t - \frac{\alpha_t}{\alpha_s} \sigma_s \right) z",
    right=r"x_t = \frac{\alpha_t}{\alpha_s} x_s"
    r" + \sqrt{\sigma_t^2 - \frac{\alpha_t^2}{\alpha_s^2} \sigma_s^2}\; z",
    labels=("renoising", "transition"),
    method="scale and variance of the composition of the one-step kernels from s to t",
    tolerance=1e-10,
    impact="Between neighboring times the noise is {at_10:.3f} times the right one at t = 10, "
    "{at_100:.3f} at 100, {at_500:.3f} at 500, {at_900:.3f} at 900; over ten steps from t = 500, "
    "{ten:.2f}. Resampling as in RePaint then adds almost no noise, and the states have less "
    "noise than their timestep implies.",
)
def noising_by_differences() -> Residuals:
    """The formula would be right if z were the noise of x_s; but z is a fresh draw, and the
    variances of independent draws add up."""
    schedule, wrong, right, figures = linear_betas(), 0.0, 0.0, {}
    for s, t in ((10, 11), (100, 101), (500, 501), (900, 901), (500, 510)):
        scale, variance = _composed(schedule.betas[s + 1 : t + 1])
        sigma_s, sigma_t = (math.sqrt(_composed(schedule.betas[1 : i + 1])[1]) for i in (s, t))
        ratio = (sigma_t - scale * sigma_s) / math.sqrt(variance)
        figures[f"at_{s}" if t == s + 1 else "ten"] = ratio
        wrong = max(wrong, abs(ratio - 1.0))
        zero, one = np.zeros((1, 1)), np.ones((1, 1))
        of_x, of_z = (
            float(renoise(schedule, x, float(s), float(t), z)[0, 0])
            for x, z in ((one, zero), (zero, one))
        )
        right = max(right, abs(of_x / scale - 1.0), abs(of_z / math.sqrt(variance) - 1.0))
    return Residuals(wrong, right, figures)


@erratum(
    "inversion-at-another-time",
    title="DDIM inversion that evaluates the network at the next time",
    occurrences=(
        Occurrence(
            "diffusers #5145 and #10695, DDIMInverseScheduler, on its timesteps and the first one",
            QUOTED,
        ),
    ),
    wrong=r"\hat\epsilon(x_s, t) \quad\text{in the step from } s \text{ to } t > s",
    right=r"\hat\epsilon(x_s, s)",
    labels=("ddim-inversion",),
    method="data that are one point, for which eps_hat is constant: inversion is exact with any "
    "number of steps",
    tolerance=1e-10,
    impact="From t = 1 to 1000 the recovered noise is {fifty:.0%} off in 50 steps and still "
    "{all:.0%} in 999; with the right times it is exact to rounding. For other data either form "
    "has a discretization error, which decreases with the number of steps.",
)
def inversion_at_another_time() -> Residuals:
    """The timestep of a network call must be that of its input. Programs that reverse a sampler's
    timesteps use that of the state to be computed."""
    schedule, noise = linear_betas(), np.array([[-1.3, 0.2, 0.9]])
    denoise = point_denoiser(schedule)

    def invert_late(steps: int) -> Array:
        timesteps = np.round(np.linspace(1.0, 1000.0, steps + 1))
        x = schedule.alpha(1) * POINT + schedule.sigma(1) * noise
        for s, t in pairwise(timesteps):
            _, eps_hat = denoise(x, t)
            x0_hat = (x - schedule.sigma(s) * eps_hat) / schedule.alpha(s)
            x = schedule.alpha(t) * x0_hat + schedule.sigma(t) * eps_hat
        return (x - schedule.alpha(1000) * POINT) / schedule.sigma(1000)

    def off(found: Array) -> float:
        return float(np.abs(found - noise).max() / np.abs(noise).max())

    timesteps = np.round(np.linspace(1.0, 1000.0, 51))
    start = schedule.alpha(1) * POINT + schedule.sigma(1) * noise
    *_, last = ddim_inversion(denoise, schedule, start, timesteps)
    right = (last.x - schedule.alpha(1000) * POINT) / schedule.sigma(1000)
    fifty = off(invert_late(50))
    return Residuals(fifty, off(right), {"fifty": fifty, "all": off(invert_late(999))})
