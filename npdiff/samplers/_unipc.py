r"""UniPC: a predictor and a corrector of the same form; the corrector costs no evaluation."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.samplers.checks import check_among
from npdiff.samplers.exponential import (
    Prediction,
    first_order,
    half_log_snr,
    phi,
    solver_prediction,
    subtract_terms,
)
from npdiff.samplers.multistep import History, extend_history, starting_times
from npdiff.samplers.singlestep import singlestep_update
from npdiff.samplers.step import Noise, Step, Steps, intervals
from npdiff.schedules import Schedule

VARIANTS = ("bh1", "bh2", "exact")


def unipc(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    order: int = 2,
    variant: str = "bh2",
    corrector: bool = True,
    prediction: str = "x0",
    start: str = "low",
    noise: Noise | None = None,
) -> Steps:
    r"""UniPC, multistep: UniP predicts x_s, and UniC corrects it with the estimate at s.

    With m the expanded estimate and c, z as in :eq:`exponential-taylor`, the predictor uses p
    estimates, the latest at t and the others at :math:`\ell_1, \ell_2, \dots`:

    .. math::
        :label: unip

        x_s = \alpha_s \hat x_0 + \sigma_s \hat\epsilon
        - c_s B(z) \sum_{k=1}^{p - 1} \frac{a_k}{r_k} \left( m_k - m_t \right),
        \qquad r_k = \frac{\ell_k - \ell_t}{h}

    The corrector repeats the step with the estimate at s, r_p = 1, added, which is evaluated at the
    predictor's x_s; the next step starts from the corrected x_s without another evaluation:

    .. math::
        :label: unic

        x_s^{\mathrm c} = \alpha_s \hat x_0 + \sigma_s \hat\epsilon
        - c_s B(z) \Big[ \sum_{k=1}^{p - 1} \frac{a_k}{r_k} \left( m_k - m_t \right)
        + a_p \left( m_s - m_t \right) \Big]

    The predictor alone is of order p, with the corrector of order p + 1. While there are fewer
    estimates the orders are lower; with p = 3 this matters unless the start is nearly pure noise,
    and the solver is of order 3 (the predictor alone of order 2). Steps to sigma = 0, which return
    x0_hat, and from alpha = 0 are of order 1 and are not corrected; nor is the last step, which
    would cost another evaluation.

    Evaluations: one per step.

    Parameters
    ----------
    order : p = 1, 2 or 3
    variant : ``"bh1"``, ``"bh2"`` or ``"exact"``: see :func:`coefficients`
    corrector : whether to correct
    prediction : the estimate to expand, ``"x0"`` or ``"eps"``
    start : ``"low"``, with lower orders, as published; or ``"singlestep"``: with p = 3 the first
        step is of order 3, takes three evaluations and is not corrected

    Yields
    ------
    Step
        Its ``x`` is the predictor's: the correction needs the next evaluation.

    Raises
    ------
    InputError
        If the order, the variant, the prediction or the start is unknown.

    Notes
    -----
    Zhao et al. 2023, Algorithms 1 and 2.
    """
    check_among("order", (1, 2, 3), order)
    check_among("variant", VARIANTS, variant)
    expanded = solver_prediction(prediction)
    ells = half_log_snr(schedule, timesteps)
    inner = starting_times(schedule, ells, start, order if order == 3 else 1)
    history: History = []
    base, h = x, math.inf
    for (t, s), (ell_t, ell_s) in zip(intervals(timesteps), pairwise(ells), strict=True):
        x0_hat, eps_hat = denoise(x, t)
        m = expanded.estimate(x0_hat, eps_hat)
        if corrector and math.isfinite(h):  # the previous step, with the estimate at its end
            others = [*history[1:], (ell_t, m)]
            x = unified_step(expanded, schedule, base, t, h, others, history[0], variant)
            x0_hat, eps_hat = expanded.both_estimates(schedule, x, m, t)
        history, h = extend_history(history, ell_t, m, order), ell_s - ell_t
        base = x = first_order(schedule, x0_hat, eps_hat, s)
        if inner:
            x = singlestep_update(expanded, denoise, schedule, x0_hat, eps_hat, inner, s, h)
            inner, h = [], math.inf  # not corrected
        elif math.isfinite(h):
            x = unified_step(expanded, schedule, base, s, h, history[1:], history[0], variant)
        yield Step(s, x, x0_hat)


def unified_step(
    prediction: Prediction,
    schedule: Schedule,
    base: Array,
    s: float,
    h: float,
    others: History,
    latest: tuple[float, Array],
    variant: str,
) -> Array:
    """A step :eq:`unip` or :eq:`unic`: the step of order one minus a weighted sum of differences.

    Parameters
    ----------
    prediction : the expanded estimate
    schedule : Schedule
    base : (N, ...) array, the step of order one
    s : the time at the end
    h : the length of the step in half log-SNR, finite
    others : half log-SNRs and estimates other than that at the start
    latest : half log-SNR and estimate at the start
    variant : of the coefficients

    Returns
    -------
    (N, ...) array
    """
    ell_t, m = latest
    r = [(ell - ell_t) / h for ell, _ in others]
    z = prediction.sign * h
    B = z if variant == "bh1" else math.expm1(z)
    weights = [B * a_k / r_k for a_k, r_k in zip(coefficients(r, z, variant), r, strict=True)]
    changes = [other - m for _, other in others]
    return subtract_terms(base, prediction.scale(schedule, s), zip(weights, changes, strict=True))


def coefficients(r: Sequence[float], z: float, variant: str) -> list[float]:
    r"""The coefficients a_k of :eq:`unip` and :eq:`unic`.

    .. math::
        :label: unipc-coefficients

        \sum_{k=1}^{q} r_k^{n - 1} a_k = \frac{n!\; z\, \varphi_{n + 1}(z)}{B(z)},
        \qquad n = 1, \dots, q,
        \qquad
        B(z) = \begin{cases} z & \text{(bh1)} \\ e^z - 1 & \text{(bh2)} \end{cases}

    which makes the step exact for estimates that are polynomials of degree q; B then cancels. For a
    single coefficient the paper takes 1/2, its limit as z goes to 0: only there does B matter. The
    variant ``"exact"`` solves for that one too.

    Parameters
    ----------
    r : half log-SNRs of the estimates in units of the step: 0 is its start and 1 its end
    z : h or -h
    variant : ``"bh1"``, ``"bh2"`` or ``"exact"``

    Returns
    -------
    list of q floats

    Notes
    -----
    Zhao et al. 2023, section 3 and appendix.
    """
    if not r:
        return []
    if len(r) == 1 and variant != "exact":
        return [0.5]
    B = z if variant == "bh1" else math.expm1(z)
    powers = range(len(r))
    right = [math.factorial(n + 1) * z * phi(n + 2, z) / B for n in powers]
    return [float(a) for a in np.linalg.solve([[r_k**n for r_k in r] for n in powers], right)]
