"""Errata of guidance."""

import math
from collections.abc import Callable

import numpy as np

from npdiff.exact import Gaussian, Mixture
from npdiff.exact.classifier import class_gradient
from npdiff.guidance import (
    classifier_free,
    classifier_mean_shift,
    dynamic_threshold,
    from_paper_scale,
)
from npdiff.laboratory.errata.record import QUOTED, READ, Occurrence, Residuals, erratum
from npdiff.process import posterior_mean
from npdiff.schedules import linear_betas

#: Means and variances of two Gaussians.
COND, UNCOND = (0.9, 0.3), (-0.2, 0.8)


def _log_normal(
    distribution: tuple[float, float], alpha: float, sigma: float, x: np.ndarray
) -> np.ndarray:
    mean, variance = distribution
    total = alpha**2 * variance + sigma**2
    return -0.5 * (x - alpha * mean) ** 2 / total


def _power_score(w: float, alpha: float, sigma: float, x: np.ndarray) -> np.ndarray:
    """The gradient of w log p + (1 - w) log q, by complex steps."""
    step = x + 1e-30j
    log_density = w * _log_normal(COND, alpha, sigma, step)
    return np.imag(log_density + (1.0 - w) * _log_normal(UNCOND, alpha, sigma, step)) / 1e-30


def _worst(guided: Callable[[np.ndarray, np.ndarray, float], np.ndarray], w: float) -> float:
    """The largest deviation of guided noise from the score of p^w q^(1 - w), at three times.

    ``guided(cond, uncond, t)`` combines conditional and unconditional noise.
    """
    schedule, x = linear_betas(), np.array([[-1.2], [0.3], [1.7]])
    off = []
    for t in (100.0, 400.0, 800.0):
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        cond, uncond = (-sigma * _power_score(of, alpha, sigma, x) for of in (1.0, 0.0))
        expected = -sigma * _power_score(w, alpha, sigma, x)
        off.append(np.abs(guided(cond, uncond, t) - expected).max() / np.abs(expected).max())
    return float(max(off))


def _npdiff_guidance(w: float) -> Callable[[np.ndarray, np.ndarray, float], np.ndarray]:
    """The guided noise of npdiff, as a function like ``guided`` above."""
    schedule, x = linear_betas(), np.array([[-1.2], [0.3], [1.7]])
    cond, uncond = (Gaussian(np.array([m]), v).denoiser(schedule) for m, v in (COND, UNCOND))
    return lambda c, u, t: classifier_free(cond, uncond, w)(x, t)[1]


@erratum(
    "two-scales-of-guidance",
    title="The paper's guidance scale in the formula of programs",
    occurrences=(
        Occurrence("Ho and Salimans 2022, Eq. 6, where w = 0 means no guidance", QUOTED),
        Occurrence(
            "programs in which 1 means no guidance: Imagen, latent-diffusion, diffusers", READ
        ),
        Occurrence(
            "diffusers #5882, denoising-diffusion-pytorch #155 and #207, threestudio #289, "
            "where the two are confused",
            QUOTED,
        ),
    ),
    wrong=r"\hat\epsilon_{\text{u}} + w_{\text{paper}}"
    r" (\hat\epsilon_{\text{c}} - \hat\epsilon_{\text{u}})",
    right=r"\hat\epsilon_{\text{u}} + (1 + w_{\text{paper}})"
    r" (\hat\epsilon_{\text{c}} - \hat\epsilon_{\text{u}})",
    labels=("classifier-free-guidance", "paper-guidance-scale", "guided-density"),
    method="the score of p^(1 + w) / q^w for the paper's w, by complex steps on two Gaussians",
    tolerance=1e-10,
    impact="The paper's w = 0 (no guidance) gives the unconditional model, {none:.0%} off in "
    "noise on these Gaussians; its w = 2 gives 2 instead of 3, {two:.0%} off; its w = 6.5 gives "
    "6.5 instead of 7.5, {large:.0%}. The weaker the guidance, the more it matters.",
)
def two_scales_of_guidance() -> Residuals:
    """Both conventions use the letter w. One measures from the conditional model, the other from
    the unconditional one, and they differ by 1."""
    wrong = {w: _worst(_npdiff_guidance(w), 1.0 + w) for w in (0.0, 2.0, 6.5)}
    right = max(_worst(_npdiff_guidance(float(from_paper_scale(w))), 1.0 + w) for w in wrong)
    figures = {"none": wrong[0.0], "two": wrong[2.0], "large": wrong[6.5]}
    return Residuals(max(wrong.values()), right, figures)


@erratum(
    "sign-of-the-unconditional",
    title="The unconditional noise added, not subtracted",
    occurrences=(
        Occurrence(
            "labml annotated implementations, stable_diffusion/sampler: the formula of the "
            "docstrings; the code is right",
            READ,
        ),
        Occurrence("labml annotated_deep_learning_paper_implementations #177", QUOTED),
        Occurrence(
            "Conditional_Diffusion_MNIST #2, the same sign in a readme, since corrected", QUOTED
        ),
    ),
    wrong=r"s\, \hat\epsilon_{\text{c}} + (s - 1)\, \hat\epsilon_{\text{u}}",
    right=r"s\, \hat\epsilon_{\text{c}} + (1 - s)\, \hat\epsilon_{\text{u}}",
    labels=("classifier-free-guidance", "guided-density"),
    method="the score of p^s q^(1 - s) by complex steps on two Gaussians",
    tolerance=1e-10,
    impact="At s = 7.5 the two coefficients add up to {sum:.0f}, not to 1: the noise is {off:.0f} "
    "times too large where both predictions agree.",
)
def sign_of_the_unconditional() -> Residuals:
    """Where both predictions agree, guidance must not change them: the coefficients add up to 1."""
    s = 7.5
    wrong = _worst(lambda c, u, t: s * c + (s - 1.0) * u, s)
    figures = {"sum": s + (s - 1.0), "off": s + (s - 1.0)}
    return Residuals(wrong, _worst(_npdiff_guidance(s), s), figures)


@erratum(
    "dynamic-thresholding-clamp",
    title="Dynamic thresholding with a threshold clamped to 1",
    occurrences=(
        Occurrence(
            "diffusers, _threshold_sample of its schedulers: clamp(min=1, max=sample_max_value), "
            "whose default is 1",
            READ,
        ),
        Occurrence("diffusers #4466, #4497, questions on its use", QUOTED),
    ),
    wrong=r"s = \min(\max(Q_p, 1),\, c), \qquad c = 1",
    right=r"s = \max(Q_p, 1)",
    labels=("dynamic-thresholding",),
    method="a sorted sample, its interpolated quantile, and its elements clipped one by one",
    tolerance=1e-12,
    impact="With the default, s is always 1, which is the plain clipping that the method "
    "replaces: {clipped:.0%} of the elements of this sample saturate instead of {saturated:.1%}. "
    "With c below 1 elements grow: c = 0.5 turns {before:.1f} into {after:.1f}.",
)
def dynamic_thresholding_clamp() -> Residuals:
    """The upper limit of the threshold is a parameter, and its default equals the lower limit."""
    schedule, p = linear_betas(), 0.995
    x_0 = np.append(3.0 * np.random.default_rng(0).standard_normal(399), 0.4)[None]
    ordered = sorted(abs(v) for v in x_0[0].tolist())
    position = p * (len(ordered) - 1)
    low, high = ordered[math.floor(position)], ordered[math.ceil(position)]
    s = max(1.0, low + (position - math.floor(position)) * (high - low))
    expected = np.array([[math.copysign(min(abs(v), s), v) / s for v in x_0[0].tolist()]])

    def program(cap: float) -> np.ndarray:
        size = min(max(np.quantile(np.abs(x_0), p), 1.0), cap)
        return np.clip(x_0, -size, size) / size

    right, _ = dynamic_threshold(lambda x, t: (x_0, x), schedule, p)(x_0, 500.0)
    figures = {
        "clipped": (np.abs(program(1.0)) >= 1.0).mean(),
        "saturated": (np.abs(expected) >= 1.0).mean(),
        "before": x_0[0, -1],
        "after": program(0.5)[0, -1],
    }
    off = [float(np.abs(found - expected).max()) for found in (program(1.0), right)]
    return Residuals(off[0], off[1], figures)


@erratum(
    "where-the-classifier-is-evaluated",
    title="The classifier gradient at the state before the step",
    occurrences=(
        Occurrence(
            "guided-diffusion, condition_mean; its authors call it a slight bug in #51", QUOTED
        ),
        Occurrence("denoising-diffusion-pytorch #276 and #277, where it was corrected", QUOTED),
    ),
    wrong=r"\mu + \Sigma\, \nabla_{x_t} \log p(k \mid x_t)",
    right=r"\mu + \Sigma\, \nabla_{x_s} \log p(k \mid x_s) \big|_{x_s = \mu}",
    labels=("classifier-mean-shift", "class-gradient"),
    method="the mean of N(x_s; mu, Sigma) p(k | x_s) by Gauss-Hermite quadrature, for a mixture "
    "whose classes are known at every noise level; t = 600, 50 steps",
    tolerance=0.01,
    impact="In a step from t = 600 of 1 / 50 of the schedule, the shift is {wrong:.1%} off, and "
    "{right:.2%} with the gradient at the mean. In single steps of 1000 it is {wrong_1:.2%} and "
    "{right_1:.3%}. At t = 300 the two are {late_wrong:.0%} and {late_right:.0%} off, because "
    "there the expansion itself is coarse. The authors saw no difference in their samples.",
)
def where_the_classifier_is_evaluated() -> Residuals:
    """The step's density is multiplied by p(k | x_s), expanded around the mean of x_s, at the noise
    level of s. The program takes the gradient at x_t and the noise level of t."""
    schedule = linear_betas()
    distributions = [Gaussian(np.array([-0.6]), 0.2), Gaussian(np.array([0.8]), 0.1)]
    data = Mixture([0.3, 0.7], distributions)
    denoise, gradient = data.denoiser(schedule), class_gradient(data, schedule, 1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)

    def off(t: float, s: float, at_mean: bool) -> float:
        of_data, of_noise = np.array([[-1.0], [-0.2], [0.5]]), np.array([[0.5], [-0.7], [0.9]])
        x = schedule.alpha(t) * of_data + schedule.sigma(t) * of_noise
        x_0, _ = denoise(x, t)
        kept = schedule.alpha(t) / schedule.alpha(s)
        forward = schedule.sigma(t) ** 2 - kept**2 * schedule.sigma(s) ** 2
        fraction = schedule.alpha(s) * forward / schedule.sigma(t) ** 2
        mean = kept * schedule.sigma(s) ** 2 / schedule.sigma(t) ** 2 * x + fraction * x_0
        std = np.sqrt(forward) * schedule.sigma(s) / schedule.sigma(t)
        around = mean + std * nodes
        joint = [
            w
            * np.exp(-0.5 * (around - schedule.alpha(s) * distribution.mean) ** 2 / total)
            / np.sqrt(total)
            for w, distribution in zip((0.3, 0.7), distributions, strict=True)
            for total in (
                schedule.alpha(s) ** 2 * distribution.variances[0] + schedule.sigma(s) ** 2,
            )
        ]
        class_weights = weights * joint[1] / (joint[0] + joint[1])
        expected = (class_weights * around).sum(axis=1, keepdims=True) / class_weights.sum(
            axis=1, keepdims=True
        )
        guided = classifier_mean_shift(
            denoise, schedule, gradient, 1.0, np.array([t, s]), at_mean=at_mean
        )  # beta-tilde, the program's variance, is the default
        found = posterior_mean(schedule, guided(x, t)[0], x, s, t)
        return float(np.abs(found - expected).max() / np.abs(expected - mean).max())

    wrong, right = off(600.0, 580.0, False), off(600.0, 580.0, True)
    figures = {
        "wrong": wrong,
        "right": right,
        "wrong_1": off(600.0, 599.0, False),
        "right_1": off(600.0, 599.0, True),
        "late_wrong": off(300.0, 280.0, False),
        "late_right": off(300.0, 280.0, True),
    }
    return Residuals(wrong, right, figures)
