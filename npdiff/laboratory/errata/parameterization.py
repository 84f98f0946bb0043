"""Errata of prediction types: how x_0 follows from a network's output."""

import math

import numpy as np

from npdiff.denoiser import Denoise, clip_x0
from npdiff.laboratory.errata.record import QUOTED, READ, REPORTED, Occurrence, Residuals, erratum
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.schedules import LinearVP, linear_betas


def _pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return 0.3 + 0.5 * rng.standard_normal((4, 3)), rng.standard_normal((4, 3))


def _constant_denoiser(x_0: np.ndarray, eps: np.ndarray) -> Denoise:
    return lambda x, t: (x_0, eps)


@erratum(
    "data-from-noise",
    title="The estimate of x_0 with the coefficients of the reverse mean",
    occurrences=(
        Occurrence("Nichol and Dhariwal 2021, the equation of x_0 from epsilon", REPORTED),
    ),
    wrong=r"\hat x_0 = \frac{1}{\sqrt{1 - \beta_t}}"
    r" \left( x_t - \frac{\beta_t}{\sqrt{1 - \bar\alpha_t}}\, \hat\epsilon \right)",
    right=r"\hat x_0 = \frac{x_t - \sqrt{1 - \bar\alpha_t}\, \hat\epsilon}{\sqrt{\bar\alpha_t}}",
    labels=("solution", "ancestral-step"),
    method="x_t from known data and noise; the estimate must be the data",
    tolerance=1e-12,
    impact="It is the formula of the mean of x_(t-1), a step that removes 1/T of the noise: at t "
    "= 500 it is {middle:.1f} standard deviations of the data off, at t = 10 {early:.2f}. None of "
    "the programs that were examined computes it.",
)
def data_from_noise() -> Residuals:
    """Two formulas of the same form: x_t minus a multiple of the noise, divided by a scale. One
    gives the data, the other the mean of the state one step earlier."""
    schedule, (x_0, eps) = linear_betas(), _pair()
    wrong, right = {}, 0.0
    for t in (10, 500, 1000):
        beta, abar = schedule.betas[t], float(np.prod(1.0 - schedule.betas[1 : t + 1]))
        x_t = math.sqrt(abar) * x_0 + math.sqrt(1.0 - abar) * eps
        printed = (x_t - beta / math.sqrt(1.0 - abar) * eps) / math.sqrt(1.0 - beta)
        wrong[t] = float(np.sqrt(np.mean((printed - x_0) ** 2)) / 0.5)
        found, _ = PARAMETERIZATIONS["eps"].solve(schedule, x_t, eps, t)
        right = max(right, float(np.abs(found - x_0).max()))
    return Residuals(max(wrong.values()), right, {"early": wrong[10], "middle": wrong[500]})


@erratum(
    "sign-of-c-out",
    title="The sign of c_out for v",
    occurrences=(
        Occurrence(
            "diffusers #1481, which requests the sign of EDM's paper in a formula for v", QUOTED
        ),
        Occurrence("k-diffusion, external.py: VDenoiser has c_out negated, which is right", READ),
    ),
    wrong=r"\hat x_0 = \frac{1}{\varsigma^2 + 1}\, x"
    r" + \frac{\varsigma}{\sqrt{\varsigma^2 + 1}}\, v",
    right=r"\hat x_0 = \frac{1}{\varsigma^2 + 1}\, x"
    r" - \frac{\varsigma}{\sqrt{\varsigma^2 + 1}}\, v, \qquad v = \alpha \epsilon - \sigma x_0",
    labels=("v-prediction", "edm-preconditioning"),
    method="x = x_0 + sigma eps with known data and noise, and their v; the estimate must be the "
    "data",
    tolerance=1e-12,
    impact="EDM's F for sigma_data = 1 is -v: a network may predict either, each with its sign. "
    "With the other sign the estimate is {off:.1f} standard deviations of the data off at sigma = "
    "1, which is hard to miss; the program of the thread had the right sign for v.",
)
def sign_of_c_out() -> Residuals:
    """Progressive distillation predicts v = alpha eps - sigma x_0; EDM's F points from the noise to
    the data. The formulas differ only in this sign."""
    (x_0, eps), schedule = _pair(), LinearVP()
    wrong, right = [], []
    for sigma in (0.1, 1.0, 10.0):
        root = math.sqrt(1.0 + sigma**2)
        v = (eps - sigma * x_0) / root
        x = x_0 + sigma * eps
        added = x / root**2 + sigma / root * v
        wrong.append(float(np.sqrt(np.mean((added - x_0) ** 2)) / 0.5))
        t = float(schedule.time_at(-2.0 * math.log(sigma)))
        found, _ = PARAMETERIZATIONS["v"].solve(schedule, x * schedule.alpha(t), v, t)
        right.append(float(np.abs(found - x_0).max()))
    return Residuals(max(wrong), max(right), {"off": wrong[1]})


@erratum(
    "clipped-without-the-noise",
    title="Clipped x0_hat with the noise of the unclipped one",
    occurrences=(
        Occurrence("diffusers, DDIMScheduler: use_clipped_model_output is False by default", READ),
        Occurrence("denoising-diffusion-pytorch #84, on why the noise is computed again", QUOTED),
    ),
    wrong=r"\hat x_0 \leftarrow \operatorname{clip}(\hat x_0), \qquad"
    r" \hat\epsilon \text{ unchanged}",
    right=r"\hat x_0 \leftarrow \operatorname{clip}(\hat x_0), \qquad"
    r" \hat\epsilon \leftarrow \frac{x_t - \alpha_t \hat x_0}{\sigma_t}",
    labels=("clipping", "ddim-step"),
    method="the two estimates of a denoiser must add up to its input",
    tolerance=1e-12,
    impact="An estimate of 2 clipped to 1 leaves a gap of alpha_t: {early:.2f} at t = 100 and "
    "{late:.3f} at t = 900. DDIM then leaves the line of constant x0_hat and eps_hat; a step from "
    "t = 500 to 400 ends {arrival:.2f} away. Without clipping the two agree; with strong guidance "
    "many elements are clipped.",
)
def clipped_without_the_noise() -> Residuals:
    """DDIM moves along x_t = alpha x0_hat + sigma eps_hat. If only one of the two estimates is
    changed, this line does not pass through the current state."""
    schedule, x = linear_betas(), np.array([[0.5, -2.0, 3.0]])
    large = np.array([[2.0, -2.0, 0.3]])
    gaps, right = {}, 0.0
    for t in (100.0, 500.0, 900.0):
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        estimates = (large, (x - alpha * large) / sigma)
        gaps[t] = float(np.abs(alpha * np.clip(large, -1, 1) + sigma * estimates[1] - x).max())
        x_0, eps = clip_x0(_constant_denoiser(*estimates), schedule)(x, t)
        right = max(right, float(np.abs(alpha * x_0 + sigma * eps - x).max()))
    change = gaps[500.0] * float(schedule.sigma(400.0) / schedule.sigma(500.0))
    figures = {"early": gaps[100.0], "late": gaps[900.0], "arrival": change}
    return Residuals(max(gaps.values()), right, figures)
