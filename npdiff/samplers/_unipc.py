r"""UniPC: a predictor and a corrector of one form, of which the corrector costs no evaluation."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers.exponential import (
    SolverPrediction,
    added,
    first_order,
    half_log_snr,
    order_among,
    phi,
    solver_prediction,
)
from npdiff.samplers.multistep import History, remembered, starting_times
from npdiff.samplers.singlestep import singlestep
from npdiff.samplers.step import Noise, Step, Steps
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
    r"""UniPC, multistep: UniP predicts x_s, and UniC corrects it once the denoiser has been there.

    With m the estimate that is taken for smooth and c, z as in :eq:`exponential-taylor`, the
    predictor goes on from p estimates, the latest at t and the others at
    :math:`\ell_1, \ell_2, \dots`:

    .. math::
        :label: unip

        x_s = \alpha_s \hat x_0 + \sigma_s \hat\epsilon
        - c_s B(z) \sum_{k=1}^{p - 1} \frac{a_k}{r_k} \left( m_k - m_t \right),
        \qquad r_k = \frac{\ell_k - \ell_t}{h}

    The corrector does the step once more with the estimate at s, r_p = 1, among them, found where
    the predictor led; the next step starts from what it says, without asking again:

    .. math::
        :label: unic

        x_s^{\mathrm c} = \alpha_s \hat x_0 + \sigma_s \hat\epsilon
        - c_s B(z) \Big[ \sum_{k=1}^{p - 1} \frac{a_k}{r_k} \left( m_k - m_t \right)
        + a_p \left( m_s - m_t \right) \Big]

    The predictor alone is of order p, both are of order p + 1. While there are fewer estimates the
    orders are lower; with p = 3 that shows unless the start is nearly pure noise, and the whole is
    of order 3 (the predictor alone of order 2). Steps to sigma = 0, which return x0_hat, and from
    alpha = 0 are of order 1 and are not corrected; nor is the last step, for which the denoiser
    would have to be asked.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked once a step
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    order : p = 1, 2 or 3
    variant : ``"bh1"``, ``"bh2"`` or ``"exact"``: see :func:`coefficients`
    corrector : whether to correct
    prediction : what is taken for smooth, ``"x0"`` or ``"eps_hat"``
    start : ``"low"``, with lower orders, as published; or ``"singlestep"``: with p = 3 the first
        step is one of order 3, asks three times and is not corrected
    noise : accepted as by every sampler, and not used

    Yields
    ------
    Step
        Its ``x`` is what the predictor says: the correction needs the next evaluation.

    Raises
    ------
    InputError
        If the order, the variant, the form or the start is none of these.

    Notes
    -----
    Zhao et al. 2023, Algorithms 1 and 2.
    """
    order_among((1, 2, 3), order)
    smooth = solver_prediction(prediction)
    if variant not in VARIANTS:
        raise InputError(f"unknown variant {variant!r}: choose one of {', '.join(VARIANTS)}")
    places = half_log_snr(schedule, timesteps)
    inner = starting_times(schedule, places, start, order if order == 3 else 1)
    history: History = []
    base, h = x, math.inf
    for (t, s), (a, b) in zip(pairwise(timesteps), pairwise(places), strict=True):
        x0_hat, eps_hat = denoise(x, t)
        m = smooth.estimate(x0_hat, eps_hat)
        if corrector and math.isfinite(h):
            x = unified(smooth, schedule, base, t, h, [*history[1:], (a, m)], history[0], variant)
            x0_hat, eps_hat = smooth.completed(schedule, x, m, t)
        history, h = remembered(history, a, m, order), b - a
        base = x = first_order(schedule, x0_hat, eps_hat, s)
        if inner:
            x, inner = singlestep(smooth, denoise, schedule, x0_hat, eps_hat, inner, s, h), []
            h = math.inf  # nothing to correct
        elif math.isfinite(h):
            x = unified(smooth, schedule, base, s, h, history[1:], history[0], variant)
        yield Step(float(s), x, x0_hat)


def unified(
    prediction: SolverPrediction,
    schedule: Schedule,
    base: Array,
    s: float,
    h: float,
    others: History,
    latest: tuple[float, Array],
    variant: str,
) -> Array:
    """The sum that :eq:`unip` and :eq:`unic` have in common, added to the step of order one.

    Parameters
    ----------
    prediction : Form
    schedule : Schedule
    base : (N, ...) array, the step of order one
    s : the time to arrive at
    h : the finite length of the step in half log-SNR
    others : places and estimates beside the one at the start
    latest : place and estimate at the start
    variant : of the coefficients

    Returns
    -------
    (N, ...) array
    """
    place, m = latest
    r = [(a - place) / h for a, _ in others]
    z = prediction.sign * h
    B = z if variant == "bh1" else math.expm1(z)
    weights = [B * a_k / r_k for a_k, r_k in zip(coefficients(r, z, variant), r, strict=True)]
    changes = [other - m for _, other in others]
    return added(base, prediction.scale(schedule, s), zip(weights, changes, strict=True))


def coefficients(r: Sequence[float], z: float, variant: str) -> list[float]:
    r"""The coefficients a_k of :eq:`unip` and :eq:`unic`.

    .. math::
        :label: unipc-coefficients

        \sum_{k=1}^{q} r_k^{n - 1} a_k = \frac{n!\; z\, \varphi_{n + 1}(z)}{B(z)},
        \qquad n = 1, \dots, q,
        \qquad
        B(z) = \begin{cases} z & \text{(bh1)} \\ e^z - 1 & \text{(bh2)} \end{cases}

    which makes the step exact for estimates that are polynomials of degree q, and from which B
    drops out. Where there is but one coefficient the paper takes 1/2, to which it tends as z goes
    to 0: only there does B make a difference. The variant ``"exact"`` solves for that one too.

    Parameters
    ----------
    r : places of the estimates in units of the step, its start being 0 and its end 1
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
    wanted = [math.factorial(n + 1) * z * phi(n + 2, z) / B for n in powers]
    return [float(a) for a in np.linalg.solve([[r_k**n for r_k in r] for n in powers], wanted)]
