"""Errata of what a network's output means."""

import math

import numpy as np

from npdiff.denoiser import Denoise, clip_x0
from npdiff.laboratory.errata.record import READ, REPORTED, SAID, Finding, Place, erratum
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.schedules import LinearVP, linear_betas


def _pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return 0.3 + 0.5 * rng.standard_normal((4, 3)), rng.standard_normal((4, 3))


def _answering(x_0: np.ndarray, eps: np.ndarray) -> Denoise:
    return lambda x, t: (x_0, eps)


@erratum(
    "data-from-noise",
    title="The estimate of the data with the coefficients of the reverse mean",
    places=(Place("Nichol and Dhariwal 2021, the equation of x_0 from epsilon", REPORTED),),
    wrong=r"\hat x_0 = \frac{1}{\sqrt{1 - \beta_t}}"
    r" \left( x_t - \frac{\beta_t}{\sqrt{1 - \bar\alpha_t}}\, \hat\epsilon \right)",
    right=r"\hat x_0 = \frac{x_t - \sqrt{1 - \bar\alpha_t}\, \hat\epsilon}{\sqrt{\bar\alpha_t}}",
    labels=("solution", "ancestral-step"),
    route="x_t is put together from known data and noise, and the data have to come back",
    tolerance=1e-12,
    matters="It is the formula of the mean of x_(t-1), a step that removes 1/T of the noise: at t "
    "= 500 it is {middle:.1f} standard deviations of the data off, at t = 10 {early:.2f}. No "
    "program that was looked at computes it.",
)
def data_from_noise() -> Finding:
    """Two formulas of one shape: x_t less a multiple of the noise, divided by a scale. One leads to
    the data, the other to the mean of the state a single step earlier."""
    table, (x_0, eps) = linear_betas(), _pair()
    wrong, right = {}, 0.0
    for t in (10, 500, 1000):
        beta, abar = table.betas[t], float(np.prod(1.0 - table.betas[1 : t + 1]))
        x_t = math.sqrt(abar) * x_0 + math.sqrt(1.0 - abar) * eps
        printed = (x_t - beta / math.sqrt(1.0 - abar) * eps) / math.sqrt(1.0 - beta)
        wrong[t] = float(np.sqrt(np.mean((printed - x_0) ** 2)) / 0.5)
        found, _ = PARAMETERIZATIONS["eps"].solve(table, x_t, eps, t)
        right = max(right, float(np.abs(found - x_0).max()))
    return Finding(max(wrong.values()), right, {"early": wrong[10], "middle": wrong[500]})


@erratum(
    "sign-of-c-out",
    title="Two signs of v meet in c_out",
    places=(
        Place("diffusers #1481, which asks for the sign of EDM's paper in a formula for v", SAID),
        Place("k-diffusion, external.py: VDenoiser has c_out negated, and rightly so", READ),
    ),
    wrong=r"\hat x_0 = \frac{1}{\varsigma^2 + 1}\, x"
    r" + \frac{\varsigma}{\sqrt{\varsigma^2 + 1}}\, v",
    right=r"\hat x_0 = \frac{1}{\varsigma^2 + 1}\, x"
    r" - \frac{\varsigma}{\sqrt{\varsigma^2 + 1}}\, v, \qquad v = \alpha \epsilon - \sigma x_0",
    labels=("v-prediction", "edm-preconditioning"),
    route="x = x_0 + sigma eps with known data and noise, and the v of these; the data have to "
    "come back",
    tolerance=1e-12,
    matters="EDM's F for sigma_data = 1 is -v: either network may be used, each with its own "
    "sign. With the other's sign the estimate is {off:.1f} standard deviations of the data off at "
    "sigma = 1, which nobody overlooks; the thread was about a program that had the sign of v "
    "right.",
)
def sign_of_c_out() -> Finding:
    """Progressive distillation predicts v = alpha eps - sigma x_0, EDM's F points from the noise to
    the data. The formulas around them are the same but for this sign."""
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
    return Finding(max(wrong), max(right), {"off": wrong[1]})


@erratum(
    "clipped-without-the-noise",
    title="Clipped data beside the noise of the unclipped",
    places=(
        Place("diffusers, DDIMScheduler: use_clipped_model_output is False by default", READ),
        Place("denoising-diffusion-pytorch #84, why the noise is derived anew", SAID),
    ),
    wrong=r"\hat x_0 \leftarrow \operatorname{clip}(\hat x_0), \qquad"
    r" \hat\epsilon \text{ as it was}",
    right=r"\hat x_0 \leftarrow \operatorname{clip}(\hat x_0), \qquad"
    r" \hat\epsilon \leftarrow \frac{x_t - \alpha_t \hat x_0}{\sigma_t}",
    labels=("clipping", "ddim-step"),
    route="the two estimates of a denoiser have to add up to the state they were made from",
    tolerance=1e-12,
    matters="An estimate of 2 that is clipped to 1 leaves a gap of alpha_t: {early:.2f} at t = "
    "100 and {late:.3f} at t = 900. DDIM then walks off the line of constant x_0 and eps, and "
    "arrives {arrival:.2f} from where it would, from t = 500 in one step to 400. Where nothing is "
    "clipped the two agree; with strong guidance much is.",
)
def clipped_without_the_noise() -> Finding:
    """DDIM moves along x_t = alpha x_0 + sigma eps. If only one of the two estimates is changed,
    the line it moves along does not pass through the state it is at."""
    table, x = linear_betas(), np.array([[0.5, -2.0, 3.0]])
    wild = np.array([[2.0, -2.0, 0.3]])
    gaps, sound = {}, 0.0
    for t in (100.0, 500.0, 900.0):
        alpha, sigma = float(table.alpha(t)), float(table.sigma(t))
        estimates = (wild, (x - alpha * wild) / sigma)
        gaps[t] = float(np.abs(alpha * np.clip(wild, -1, 1) + sigma * estimates[1] - x).max())
        x_0, eps = clip_x0(_answering(*estimates), table)(x, t)
        sound = max(sound, float(np.abs(alpha * x_0 + sigma * eps - x).max()))
    change = gaps[500.0] * float(table.sigma(400.0) / table.sigma(500.0))
    figures = {"early": gaps[100.0], "late": gaps[900.0], "arrival": change}
    return Finding(max(gaps.values()), sound, figures)
