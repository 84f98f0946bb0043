"""Errata of schedules: betas, products, shifts, marginals."""

import math
from decimal import Decimal, localcontext
from itertools import pairwise

import numpy as np

from npdiff.laboratory.errata.record import MEASURED, QUOTED, READ, Occurrence, Residuals, erratum
from npdiff.schedules import (
    VE,
    Laplace,
    RectifiedFlow,
    Schedule,
    invariant_linear_betas,
    linear_betas,
)


def worst(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest relative deviation of any element."""
    return float(np.max(np.abs(np.asarray(found) / expected - 1.0)))


@erratum(
    "linear-betas-and-t",
    title="Linear betas independent of the number of steps",
    occurrences=(
        Occurrence("diffusers, DDPMScheduler and others, beta_schedule='linear'", READ),
        Occurrence("diffusers #12341, a request for the scaling", QUOTED),
    ),
    wrong=r"\beta_t = \beta_1 + \frac{t - 1}{T - 1} (\beta_T - \beta_1)"
    r" \quad\text{with } \beta_1 = 10^{-4},\ \beta_T = 0.02 \text{ for every } T",
    right=r"\beta_t = \frac{1000}{T} \left( \beta_1 + \frac{t - 1}{T - 1}"
    r" (\beta_T - \beta_1) \right)",
    labels=("linear-betas", "invariant-linear-betas"),
    method="-log of alpha-bar_T, compared with the integral of beta(t), which is independent of T",
    tolerance=0.1,
    impact="With T = 100 the unscaled betas end at alpha-bar = {abar_100:.4f}, with T = 10 at "
    "{abar_10:.4f}: the image is still visible, and sampling starts from pure noise, which the "
    "process never reaches. Scaled, T = 100 ends at {scaled_100:.2e}; T = 20 or less cannot be "
    "scaled, because a beta would reach 1. At T = 1000 the two are the same.",
)
def linear_betas_and_t() -> Residuals:
    """The two constants of DDPM are for T = 1000. Fewer steps with the same betas add less noise in
    total; the betas must grow as the steps become fewer."""
    integral = 1000.0 * 0.5 * (1e-4 + 0.02)
    lengths = (100, 200, 500, 2000)
    wrong = max(abs(-math.log(linear_betas(T).alpha_bar[-1]) / integral - 1.0) for T in lengths)
    right = max(
        abs(-math.log(invariant_linear_betas(T).alpha_bar[-1]) / integral - 1.0) for T in lengths
    )
    figures = {f"abar_{T}": linear_betas(T).alpha_bar[-1] for T in (10, 100)}
    return Residuals(
        wrong, right, {**figures, "scaled_100": invariant_linear_betas(100).alpha_bar[-1]}
    )


@erratum(
    "products-in-float32",
    title="alpha-bar as a product in float32",
    occurrences=(
        Occurrence("programs that compute alpha-bar with torch.cumprod of float32 betas", MEASURED),
        Occurrence("diffusers #3005 and #3056, where alpha-bar is 1 in half precision", QUOTED),
    ),
    wrong=r"\frac{\mathrm{SNR}_{t-1}}{\mathrm{SNR}_t} - 1 \quad\text{from}\quad"
    r" \bar\alpha_t \text{ and } 1 - \bar\alpha_t \text{ in float32}",
    right=r"\operatorname{expm1}(\lambda_{t-1} - \lambda_t) \quad\text{from}\quad"
    r" \log\alpha_t = \tfrac12 \sum_s \operatorname{log1p}(-\beta_s)",
    labels=("alpha-bar", "discrete-weight", "log-snr"),
    method="the product of the same betas in 50 decimal digits",
    tolerance=1e-10,
    impact="1 - alpha-bar_1 is {first:.2e} off, and the weight SNR_(t-1) / SNR_t - 1 of a term of "
    "the bound {weight:.2%} at t = {t:.0f}, {weight_500:.0e} at t = 500. At T = 1000 that is "
    "harmless; with {long:.0f} steps weights are {long_weight:.0%} off. In float64 the naive "
    "formula is {double:.0e} off.",
)
def products_in_float32() -> Residuals:
    """Near the data 1 - alpha-bar is a small difference of values near 1, and the difference of two
    such terms is smaller still: float32 has no digits left for it."""
    schedule, longer = linear_betas(), invariant_linear_betas(50_000)
    with localcontext() as context:
        context.prec = 50
        abar = [Decimal(1)]
        for beta in schedule.betas[1:].tolist():
            abar.append(abar[-1] * (1 - Decimal(beta)))
        snr = [a / (1 - a) for a in abar[1:]]
        exact = np.array([float(a / b - 1) for a, b in pairwise(snr)])
        first = float(1 - abar[1])

    def naive(betas: np.ndarray, dtype: type) -> tuple[np.ndarray, float]:
        product: np.ndarray = np.cumprod(1 - betas[1:].astype(dtype), dtype=dtype)
        odds = product / (1 - product)
        return odds[:-1] / odds[1:] - 1, float(1 - product[0])

    def weights(t: np.ndarray, schedule: Schedule) -> np.ndarray:
        return np.expm1(schedule.log_snr(t - 1.0) - schedule.log_snr(t))

    single, first_single = naive(schedule.betas, np.float32)
    off, t = np.abs(single / exact - 1.0), np.arange(2.0, 50_001.0)
    figures = {
        "first": abs(first_single / first - 1.0),
        "weight": off.max(),
        "t": t[off.argmax()],
        "weight_500": off[498],
        "long": 50_000,
        "long_weight": worst(naive(longer.betas, np.float32)[0], weights(t, longer)),
        "double": worst(naive(schedule.betas, np.float64)[0], exact),
    }
    return Residuals(float(off.max()), worst(weights(t[:999], schedule), exact), figures)


@erratum(
    "laplace-square-root",
    title="The Laplace schedule with alpha instead of alpha-bar",
    occurrences=(
        Occurrence("diffusers, betas_for_alpha_bar, alpha_transform_type='laplace'", READ),
    ),
    wrong=r"\bar\alpha(t) = \sqrt{\frac{e^{\lambda_t}}{1 + e^{\lambda_t}}}",
    right=r"\bar\alpha(t) = \frac{e^{\lambda_t}}{1 + e^{\lambda_t}}, \qquad \lambda_t = \mu - b\,"
    r" \operatorname{sgn}(\tfrac12 - t) \log(1 - 2 \lvert t - \tfrac12 \rvert)",
    labels=("laplace-log-snr",),
    method="the Laplace distribution function: at time t the probability of a larger log-SNR is t",
    tolerance=1e-9,
    impact="Log-SNR is {at_half:.3f} instead of 0 at t = 1/2, and {at_quarter:.3f} instead of "
    "{right_quarter:.3f} at 1/4: training uses cleaner images than intended, by {late:.2f} in "
    "log-SNR at t = 0.99. A model trained and sampled with the same schedule is consistent.",
)
def laplace_square_root() -> Residuals:
    """alpha-bar is the square of the signal scale, SNR / (1 + SNR). Its root, the scale itself, is
    passed to a function that expects alpha-bar."""
    t = np.array([0.01, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.99])

    def probability_of_larger(log_snr: np.ndarray) -> np.ndarray:
        tail = 0.5 * np.exp(-np.abs(log_snr) / 0.5)
        return np.where(log_snr > 0.0, tail, 1.0 - tail)

    right = Laplace(scale=0.5).log_snr(t)
    scale = 1.0 / np.sqrt(1.0 + np.exp(-right))
    wrong = np.log(scale) - np.log1p(-scale)
    figures = {
        "at_half": wrong[4],
        "at_quarter": wrong[2],
        "right_quarter": right[2],
        "late": wrong[8] - right[8],
    }
    off = [float(np.abs(probability_of_larger(found) - t).max()) for found in (wrong, right)]
    return Residuals(off[0], off[1], figures)


@erratum(
    "flow-shift-twice",
    title="The shift of a flow applied twice",
    occurrences=(
        Occurrence("diffusers #13243, #13246 and #13706, FlowMatchEulerDiscreteScheduler", QUOTED),
        Occurrence("its last sigma at shift 3", MEASURED),
    ),
    wrong=r"u_t = S(S(t)), \qquad S(t) = \frac{k\, t}{1 + (k - 1)\, t}",
    right=r"u_t = S(t)",
    labels=("flow-shift",),
    method="log-SNR, 2 log((1 - u) / u), must fall by exactly 2 log k",
    tolerance=1e-10,
    impact="At k = 3 the smallest of 1000 noise levels is {twice:.6f} instead of {once:.6f}; in "
    "the middle, u is {middle_twice:.3f} instead of {middle_once:.3f}. Two shifts of k are one of "
    "k squared: the levels are those of shift {squared:.0f}.",
)
def flow_shift_twice() -> Residuals:
    """The constructor shifts the levels and keeps the smallest and the largest; setting the number
    of steps shifts again, from these limits."""
    t, k = np.linspace(0.001, 0.999, 999), 3.0

    def shift(t: np.ndarray) -> np.ndarray:
        return k * t / (1.0 + (k - 1.0) * t)

    def off(u: np.ndarray) -> float:
        fall = 2.0 * np.log((1.0 - t) / t) - 2.0 * np.log((1.0 - u) / u)
        return float(np.abs(fall - 2.0 * math.log(k)).max())

    twice, once = shift(shift(t)), RectifiedFlow(shift=k).sigma(t)
    figures = {
        "twice": twice[0],
        "once": once[0],
        "middle_twice": twice[499],
        "middle_once": once[499],
        "squared": k**2,
    }
    return Residuals(off(twice), off(once), figures)


@erratum(
    "exploding-marginal",
    title="The VE SDE's sigma(t) as the standard deviation of its kernel",
    occurrences=(Occurrence("score_sde, sde_lib.py, VESDE.marginal_prob", READ),),
    wrong=r"x_t = x_0 + \sigma(t)\, \epsilon, \qquad"
    r" \sigma(t) = \sigma_{\min} (\sigma_{\max} / \sigma_{\min})^t",
    right=r"x_t = x_0 + \sqrt{\sigma(t)^2 - \sigma(0)^2}\; \epsilon",
    labels=("exploding-variance", "sde-diffusion"),
    method="quadrature of g(t)^2 from 0 to t: the variance that the SDE adds",
    tolerance=1e-9,
    impact="At t = 1e-5 the kernel has {early:.0f} times the standard deviation of the noise that "
    "the SDE has added; at t = 0.1 it is {tenth:.1%} too large, at t = 0.5 {half:.2%}. It is "
    "harmless if the data are meant to have noise of sigma_min at t = 0, as the program may "
    "intend; it is an error in a likelihood near t = 0.",
)
def exploding_marginal() -> Residuals:
    """The SDE starts at the data without noise, and from 0 to t it adds the increase of sigma^2.
    The program's kernel includes the noise of sigma_min at t = 0."""
    low, high = 0.01, 50.0
    t = np.array([1e-5, 1e-3, 0.01, 0.1, 0.5, 1.0])
    nodes, weights = np.polynomial.legendre.leggauss(40)
    rate = 2.0 * math.log(high / low)
    inner = 0.5 * t[:, None] * (nodes + 1.0)
    added = 0.5 * t * (weights * low**2 * rate * np.exp(rate * inner)).sum(axis=1)
    total = low * (high / low) ** t
    off = total / np.sqrt(added) - 1.0
    figures = {"early": off[0] + 1.0, "tenth": off[3], "half": off[4]}
    return Residuals(float(off.max()), worst(VE(low, high).sigma(t), np.sqrt(added)), figures)
