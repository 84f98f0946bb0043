"""Errata of guidance."""

import math
from collections.abc import Callable

import numpy as np

from npdiff.exact import Gaussian, Mixture
from npdiff.exact.classifier import class_gradient
from npdiff.guidance import (
    classifier_free,
    dynamic_threshold,
    from_paper_scale,
    mean_shifted,
)
from npdiff.laboratory.errata.record import READ, SAID, Finding, Place, erratum
from npdiff.process import posterior_mean
from npdiff.schedules import linear_betas

#: Two Gaussians: their means and variances.
COND, UNCOND = (0.9, 0.3), (-0.2, 0.8)


def _log_normal(law: tuple[float, float], alpha: float, sigma: float, x: np.ndarray) -> np.ndarray:
    mean, variance = law
    total = alpha**2 * variance + sigma**2
    return -0.5 * (x - alpha * mean) ** 2 / total


def _tilted_score(w: float, alpha: float, sigma: float, x: np.ndarray) -> np.ndarray:
    """The gradient of w log p + (1 - w) log q by complex steps."""
    step = x + 1e-30j
    tilted = w * _log_normal(COND, alpha, sigma, step)
    return np.imag(tilted + (1.0 - w) * _log_normal(UNCOND, alpha, sigma, step)) / 1e-30


def _worst(guided: Callable[[np.ndarray, np.ndarray, float], np.ndarray], w: float) -> float:
    """How far guided noise is from the score of the tilted density, over three times.

    ``guided`` makes it of conditional noise, unconditional noise and the time.
    """
    table, x = linear_betas(), np.array([[-1.2], [0.3], [1.7]])
    off = []
    for t in (100.0, 400.0, 800.0):
        alpha, sigma = float(table.alpha(t)), float(table.sigma(t))
        cond, uncond = (-sigma * _tilted_score(of, alpha, sigma, x) for of in (1.0, 0.0))
        expected = -sigma * _tilted_score(w, alpha, sigma, x)
        off.append(np.abs(guided(cond, uncond, t) - expected).max() / np.abs(expected).max())
    return float(max(off))


def _house(w: float) -> Callable[[np.ndarray, np.ndarray, float], np.ndarray]:
    """The package's guidance by w, asked for its noise."""
    table, x = linear_betas(), np.array([[-1.2], [0.3], [1.7]])
    cond, uncond = (Gaussian(np.array([m]), v).denoiser(table) for m, v in (COND, UNCOND))
    return lambda c, u, t: classifier_free(cond, uncond, w)(x, t)[1]


@erratum(
    "two-scales-of-guidance",
    title="The guidance scale of the paper in the formula of the programs",
    places=(
        Place("Ho and Salimans 2022, Eq. 6, where w = 0 is no guidance", SAID),
        Place("programs in which 1 is none: Imagen, latent-diffusion, diffusers", READ),
        Place(
            "diffusers #5882, denoising-diffusion-pytorch #155 and #207, threestudio #289, "
            "where the two are taken for each other",
            SAID,
        ),
    ),
    wrong=r"\hat\epsilon_{\text{u}} + w_{\text{paper}}"
    r" (\hat\epsilon_{\text{c}} - \hat\epsilon_{\text{u}})",
    right=r"\hat\epsilon_{\text{u}} + (1 + w_{\text{paper}})"
    r" (\hat\epsilon_{\text{c}} - \hat\epsilon_{\text{u}})",
    labels=("classifier-free-guidance", "paper-guidance-scale", "guided-density"),
    route="the score of p^(1 + w) / q^w for the paper's w, by complex steps on two Gaussians",
    tolerance=1e-10,
    matters="A paper's w = 0 (no guidance) becomes the model without its condition, {none:.0%} "
    "off in noise on these Gaussians; its w = 2 becomes 2 for 3, {two:.0%} off; its w = 6.5 "
    "becomes 6.5 for 7.5, {large:.0%}. The less guidance there is, the more it matters.",
)
def two_scales_of_guidance() -> Finding:
    """Both conventions write w. One counts from the conditional model, the other from the
    unconditional one, and they differ by 1."""
    wrong = {w: _worst(_house(w), 1.0 + w) for w in (0.0, 2.0, 6.5)}
    right = max(_worst(_house(float(from_paper_scale(w))), 1.0 + w) for w in wrong)
    figures = {"none": wrong[0.0], "two": wrong[2.0], "large": wrong[6.5]}
    return Finding(max(wrong.values()), right, figures)


@erratum(
    "sign-of-the-unconditional",
    title="The unconditional noise added, not taken away",
    places=(
        Place(
            "labml annotated implementations, stable_diffusion/sampler: the formula of the "
            "docstrings; the program beside it is right",
            READ,
        ),
        Place("labml annotated_deep_learning_paper_implementations #177", SAID),
        Place("Conditional_Diffusion_MNIST #2, the same sign in a readme, mended", SAID),
    ),
    wrong=r"s\, \hat\epsilon_{\text{c}} + (s - 1)\, \hat\epsilon_{\text{u}}",
    right=r"s\, \hat\epsilon_{\text{c}} + (1 - s)\, \hat\epsilon_{\text{u}}",
    labels=("classifier-free-guidance", "guided-density"),
    route="the score of p^s q^(1 - s) by complex steps on two Gaussians",
    tolerance=1e-10,
    matters="At s = 7.5 the two coefficients add up to {sum:.0f} where they must add up to 1: the "
    "noise comes out {off:.0f} times too large where both networks agree.",
)
def sign_of_the_unconditional() -> Finding:
    """Where the two networks agree guidance has to do nothing, so the coefficients add up to 1."""
    s = 7.5
    wrong = _worst(lambda c, u, t: s * c + (s - 1.0) * u, s)
    figures = {"sum": s + (s - 1.0), "off": s + (s - 1.0)}
    return Finding(wrong, _worst(_house(s), s), figures)


@erratum(
    "dynamic-thresholding-clamp",
    title="Dynamic thresholding between 1 and 1",
    places=(
        Place(
            "diffusers, _threshold_sample of its schedulers: clamp(min=1, max=sample_max_value), "
            "whose default is 1",
            READ,
        ),
        Place("diffusers #4466, #4497, which ask how to use it", SAID),
    ),
    wrong=r"s = \min(\max(Q_p, 1),\, c), \qquad c = 1",
    right=r"s = \max(Q_p, 1)",
    labels=("dynamic-thresholding",),
    route="a sample sorted, its quantile interpolated and its elements clipped one by one",
    tolerance=1e-12,
    matters="With the default, s is always 1: plain clipping, the very thing it is to replace, "
    "and {clipped:.0%} of the elements of this sample saturate where {saturated:.1%} should. With "
    "c below 1 it enlarges: c = 0.5 turns {before:.1f} into {after:.1f}.",
)
def dynamic_thresholding_clamp() -> Finding:
    """A cap on the threshold was made a parameter, and its default is the least that the threshold
    may be."""
    table, p = linear_betas(), 0.995
    x_0 = np.append(3.0 * np.random.default_rng(0).standard_normal(399), 0.4)[None]
    ordered = sorted(abs(v) for v in x_0[0].tolist())
    place = p * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    s = max(1.0, low + (place - math.floor(place)) * (high - low))
    expected = np.array([[math.copysign(min(abs(v), s), v) / s for v in x_0[0].tolist()]])

    def program(cap: float) -> np.ndarray:
        size = min(max(np.quantile(np.abs(x_0), p), 1.0), cap)
        return np.clip(x_0, -size, size) / size

    right, _ = dynamic_threshold(lambda x, t: (x_0, x), table, p)(x_0, 500.0)
    figures = {
        "clipped": (np.abs(program(1.0)) >= 1.0).mean(),
        "saturated": (np.abs(expected) >= 1.0).mean(),
        "before": x_0[0, -1],
        "after": program(0.5)[0, -1],
    }
    off = [float(np.abs(found - expected).max()) for found in (program(1.0), right)]
    return Finding(off[0], off[1], figures)


@erratum(
    "where-the-classifier-is-asked",
    title="The classifier asked at the state before the step",
    places=(
        Place("guided-diffusion, condition_mean; its authors call it a slight bug in #51", SAID),
        Place("denoising-diffusion-pytorch #276 and #277, where it was mended", SAID),
    ),
    wrong=r"\mu + \Sigma\, \nabla_{x_t} \log p(k \mid x_t)",
    right=r"\mu + \Sigma\, \nabla_{x_s} \log p(k \mid x_s) \big|_{x_s = \mu}",
    labels=("classifier-mean-shift", "class-gradient"),
    route="the mean of N(x_s; mu, Sigma) p(k | x_s) by Gauss-Hermite quadrature, for a mixture "
    "whose classes are known at every noise level; t = 600, 50 steps",
    tolerance=0.01,
    matters="Of the shift of a step from t = 600, 1 / 50 of the chain long, {wrong:.1%} are "
    "missing or too many, and {right:.2%} at the mean. Over single steps of 1000 it is "
    "{wrong_1:.2%} and {right_1:.3%}. At t = 300 both are {late_wrong:.0%} and {late_right:.0%} "
    "off, for there the expansion itself is coarse. Its authors saw no difference in their "
    "samples.",
)
def where_the_classifier_is_asked() -> Finding:
    """The step is tilted by p(k | x_s), which is expanded around the mean at which x_s is expected,
    at the noise level of s. The program asks at x_t, and for the noise level of t."""
    table = linear_betas()
    laws = [Gaussian(np.array([-0.6]), 0.2), Gaussian(np.array([0.8]), 0.1)]
    data = Mixture([0.3, 0.7], laws)
    denoise, pull = data.denoiser(table), class_gradient(data, table, 1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)

    def off(t: float, s: float, at_mean: bool) -> float:
        of_data, of_noise = np.array([[-1.0], [-0.2], [0.5]]), np.array([[0.5], [-0.7], [0.9]])
        x = table.alpha(t) * of_data + table.sigma(t) * of_noise
        x_0, _ = denoise(x, t)
        kept = table.alpha(t) / table.alpha(s)
        forward = table.sigma(t) ** 2 - kept**2 * table.sigma(s) ** 2
        share = table.alpha(s) * forward / table.sigma(t) ** 2
        mean = kept * table.sigma(s) ** 2 / table.sigma(t) ** 2 * x + share * x_0
        std = np.sqrt(forward) * table.sigma(s) / table.sigma(t)
        around = mean + std * nodes
        joint = [
            w * np.exp(-0.5 * (around - table.alpha(s) * law.mean) ** 2 / total) / np.sqrt(total)
            for w, law in zip((0.3, 0.7), laws, strict=True)
            for total in (table.alpha(s) ** 2 * law.variances[0] + table.sigma(s) ** 2,)
        ]
        tilt = weights * joint[1] / (joint[0] + joint[1])
        expected = (tilt * around).sum(axis=1, keepdims=True) / tilt.sum(axis=1, keepdims=True)
        guided = mean_shifted(
            denoise, table, pull, 1.0, np.array([t, s]), at_mean=at_mean
        )  # the program's variance, beta-tilde, is the default
        found = posterior_mean(table, guided(x, t)[0], x, s, t)
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
    return Finding(wrong, right, figures)
