"""Errata of editing: inpainting, noising anew, inversion."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.editing import renoised, replaced
from npdiff.laboratory.errata.record import READ, SAID, Finding, Place, erratum
from npdiff.laboratory.errata.times import POINT, perfect
from npdiff.samplers._ddim import ddim_inversion
from npdiff.schedules import linear_betas


def _composed(betas: np.ndarray) -> tuple[float, float]:
    """Scale and variance of one-step kernels, one after the other."""
    scale, variance = 1.0, 0.0
    for beta in betas.tolist():
        scale, variance = math.sqrt(1.0 - beta) * scale, (1.0 - beta) * variance + beta
    return scale, variance


@erratum(
    "known-pixels",
    title="RePaint's known pixels with a variance for a standard deviation",
    places=(
        Place(
            "Lugmayr et al. 2022 (RePaint), Algorithm 1, line 5; their program and Eq. 8a have "
            "the root",
            SAID,
        ),
        Place(
            "RePaint #17; diffusers #9900, #10185, which mended the program by the misprint, and "
            "#10644, which took that back",
            SAID,
        ),
    ),
    wrong=r"x_{t-1}^{\text{known}} = \sqrt{\bar\alpha_t}\, x_0 + (1 - \bar\alpha_t)\, \epsilon",
    right=r"x_{t-1}^{\text{known}} = \sqrt{\bar\alpha_{t-1}}\, x_0"
    r" + \sqrt{1 - \bar\alpha_{t-1}}\, \epsilon",
    labels=("replacement", "marginal"),
    route="mean and variance of t - 1 one-step kernels, one after the other",
    tolerance=1e-12,
    matters="The known pixels have {early:.2f} of the noise of their neighbors at t = 10, "
    "{middle:.2f} at t = 100 and {late:.2f} at t = 500: they look cleaner than they should, and "
    "the network takes the rest for something else. A library had it from the paper for weeks, "
    "and degraded pictures are shown in the thread that took it back. The t for t - 1 alone is "
    "worth {shift:.1%} at t = 100.",
)
def known_pixels() -> Finding:
    """The line draws from N(sqrt(a) x_0, (1 - a) I) by multiplying the noise with the variance, and
    takes a from the time before the step, for a state after it."""
    table, x_0, wrong, right, figures = linear_betas(), np.full((1, 1), 0.7), 0.0, 0.0, {}
    for name, t in (("early", 10), ("middle", 100), ("late", 500)):
        scale, variance = _composed(table.betas[1:t])
        abar = float(np.prod(1.0 - table.betas[1 : t + 1]))
        figures[name] = (1.0 - abar) / math.sqrt(variance)
        if name == "middle":
            figures["shift"] = math.sqrt((1.0 - abar) / variance) - 1.0
        wrong = max(wrong, abs(figures[name] - 1.0))
        still, moved = (
            replaced(table, x_0, x_0, np.ones((1, 1), dtype=bool), t - 1.0, np.full((1, 1), z))
            for z in (0.0, 1.0)
        )
        right = max(right, abs(float(still[0, 0]) / (scale * 0.7) - 1.0))
        right = max(right, abs(float((moved - still)[0, 0]) / math.sqrt(variance) - 1.0))
    return Finding(wrong, right, figures)


@erratum(
    "noising-by-differences",
    title="A difference of standard deviations for the root of one of variances",
    places=(
        Place("DALLE2-pytorch and imagen-pytorch, q_sample_from_to, for resampling", READ),
        Place("denoising-diffusion-pytorch #290, a copy of it", SAID),
    ),
    wrong=r"x_t = \frac{\alpha_t}{\alpha_s} x_s"
    r" + \left( \sigma_t - \frac{\alpha_t}{\alpha_s} \sigma_s \right) z",
    right=r"x_t = \frac{\alpha_t}{\alpha_s} x_s"
    r" + \sqrt{\sigma_t^2 - \frac{\alpha_t^2}{\alpha_s^2} \sigma_s^2}\; z",
    labels=("renoising", "transition"),
    route="scale and variance of the one-step kernels from s to t, one after the other",
    tolerance=1e-10,
    matters="Between neighbors the noise is {at_10:.3f} of what it should be at t = 10, "
    "{at_100:.3f} at 100, {at_500:.3f} at 500, {at_900:.3f} at 900; over ten steps from t = 500, "
    "{ten:.2f}. Going back and forth as RePaint does then adds next to no noise, and the states "
    "have less than the network is told.",
)
def noising_by_differences() -> Finding:
    """With the same noise twice, x_t = alpha_t x_0 + sigma_t eps would follow; but the noise is
    drawn anew, and independent noises add up in their variances."""
    table, wrong, right, figures = linear_betas(), 0.0, 0.0, {}
    for s, t in ((10, 11), (100, 101), (500, 501), (900, 901), (500, 510)):
        scale, variance = _composed(table.betas[s + 1 : t + 1])
        sigma_s, sigma_t = (math.sqrt(_composed(table.betas[1 : i + 1])[1]) for i in (s, t))
        ratio = (sigma_t - scale * sigma_s) / math.sqrt(variance)
        figures[f"at_{s}" if t == s + 1 else "ten"] = ratio
        wrong = max(wrong, abs(ratio - 1.0))
        zero, one = np.zeros((1, 1)), np.ones((1, 1))
        of_x, of_z = (
            float(renoised(table, x, float(s), float(t), z)[0, 0])
            for x, z in ((one, zero), (zero, one))
        )
        right = max(right, abs(of_x / scale - 1.0), abs(of_z / math.sqrt(variance) - 1.0))
    return Finding(wrong, right, figures)


@erratum(
    "inversion-at-another-time",
    title="DDIM inversion that tells the network the time to come",
    places=(
        Place(
            "diffusers #5145 and #10695, DDIMInverseScheduler, on the times and their first", SAID
        ),
    ),
    wrong=r"\hat\epsilon(x_s, t) \quad\text{on the way from } s \text{ to } t > s",
    right=r"\hat\epsilon(x_s, s)",
    labels=("ddim-inversion",),
    route="data that are one point, whose noise does not change on the way: inversion is exact "
    "with any number of steps",
    tolerance=1e-10,
    matters="On the way from t = 1 to 1000 the noise that is found is {fifty:.0%} off in 50 steps "
    "and still {all:.0%} in 999, where the right times find it to rounding. On other data either "
    "form has an error of its own, which shrinks with the steps.",
)
def inversion_at_another_time() -> Finding:
    """The network is to be told the noise level of the state that it is shown. Programs that walk
    through a sampler's times in reverse tell it that of the state to be made."""
    table, noise = linear_betas(), np.array([[-1.3, 0.2, 0.9]])
    denoise = perfect(table)

    def shown_late(steps: int) -> Array:
        timesteps = np.round(np.linspace(1.0, 1000.0, steps + 1))
        x = table.alpha(1) * POINT + table.sigma(1) * noise
        for s, t in pairwise(timesteps):
            _, eps = denoise(x, t)
            x_0 = (x - table.sigma(s) * eps) / table.alpha(s)
            x = table.alpha(t) * x_0 + table.sigma(t) * eps
        return (x - table.alpha(1000) * POINT) / table.sigma(1000)

    def off(found: Array) -> float:
        return float(np.abs(found - noise).max() / np.abs(noise).max())

    timesteps = np.round(np.linspace(1.0, 1000.0, 51))
    start = table.alpha(1) * POINT + table.sigma(1) * noise
    *_, last = ddim_inversion(denoise, table, start, timesteps)
    right = (last.x - table.alpha(1000) * POINT) / table.sigma(1000)
    fifty = off(shown_late(50))
    return Finding(fifty, off(right), {"fifty": fifty, "all": off(shown_late(999))})
