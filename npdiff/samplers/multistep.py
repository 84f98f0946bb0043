r"""Multistep exponential integrators: derivatives from the estimates of earlier steps.

The history is a list, latest first, of half log-SNRs and the estimates there. A method of order p
needs p estimates; while there are fewer its order is lower. The first step, of order one, leaves an
error of size h^2 times the rate at which the estimate changes. From nearly pure noise that rate is
almost zero, and order 3 is measured until errors are small; from a state with less noise (such as a
partly noised image) the order is at most 2. There the option ``start="singlestep"`` takes the first
step with a singlestep method of order 2, for one more evaluation.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.samplers.checks import check_among
from npdiff.samplers.exponential import (
    Prediction,
    first_order,
    half_log_snr,
    phi,
    subtract_terms,
    taylor_step,
)
from npdiff.samplers.singlestep import intermediate_times, singlestep_update
from npdiff.samplers.step import Step, Steps, intervals
from npdiff.schedules import Schedule

STARTS = ("low", "singlestep")

#: Half log-SNRs and the estimates there, latest first.
History = list[tuple[float, Array]]


def extend_history(history: History, ell: float, estimate: Array, order: int) -> History:
    """The history with one more estimate, cut to the length that the order needs.

    An estimate at alpha = 0, where ``ell`` is infinite, allows no differences and is dropped.
    """
    return [(ell, estimate), *history][:order] if isfinite(ell) else []


def derivatives(history: History, h: float, *, legacy: bool = False) -> Sequence[Array]:
    r"""The scaled derivatives, at the latest estimate, of the polynomial through two or three.

    .. math::
        :label: divided-differences

        m'_0 \approx m_{01} + (\ell_0 - \ell_1)\, m_{012},
        \qquad
        m''_0 \approx 2\, m_{012},
        \qquad
        m_{01} = \frac{m_0 - m_1}{\ell_0 - \ell_1},
        \quad
        m_{012} = \frac{m_{01} - m_{12}}{\ell_0 - \ell_2}

    Two estimates give only the first, with m_012 = 0. The third-order multistep formulas of public
    code lack the 2, and are of second order.

    Parameters
    ----------
    history : at distinct half log-SNRs, latest first
    h : the length of the next step
    legacy : reproduce the published error: leave out the 2

    Returns
    -------
    h m' and, from three estimates, h^2 m''

    Notes
    -----
    Lu et al. 2022 (DPM-Solver++), appendix, for two and three estimates of the data.
    """
    if len(history) < 2:
        return ()
    slopes = [(m - n) * (1.0 / (a - b)) for (a, m), (b, n) in pairwise(history)]
    if len(slopes) == 1:
        return (h * slopes[0],)
    (a, _), (b, _), (c, _) = history
    second = (slopes[0] - slopes[1]) * (1.0 / (a - c))
    first = slopes[0] + (a - b) * second
    return h * first, ((1.0 if legacy else 2.0) * h**2) * second


def starting_times(
    schedule: Schedule, ells: Sequence[float], start: str, order: int
) -> list[float]:
    """The intermediate times of a singlestep first step; none if it is of order one.

    Parameters
    ----------
    schedule : Schedule
    ells : half log-SNRs of all timesteps
    start : ``"low"``, for order one, or ``"singlestep"``
    order : of a singlestep start: 1, 2 or 3

    Raises
    ------
    InputError
        If the start is unknown.
    """
    check_among("start", STARTS, start)
    (inner,) = intermediate_times(schedule, ells[:2], [order if start == "singlestep" else 1])
    return inner


def raise_order(
    x: Array,
    scale: float,
    z: float,
    h: float,
    history: History,
    *,
    midpoint: bool = False,
    legacy: bool = False,
) -> Array:
    r"""A step of order one raised to the order that its history allows.

    By :eq:`exponential-taylor` with the derivatives :eq:`divided-differences`; or, with two
    estimates, by the midpoint rule, which has the same order and does not need
    :math:`\varphi_2`:

    .. math::
        :label: midpoint-rule

        z\, \varphi_2(z)\; h m' \;\approx\; \tfrac12\, z\, \varphi_1(z)\; h m'

    Parameters
    ----------
    x : (N, ...) array, the step of order one
    scale, z : as for :func:`npdiff.samplers.exponential.taylor_step`
    h : the length of the step in half log-SNR, finite
    history : at distinct half log-SNRs, latest first
    midpoint : with two estimates, use the midpoint rule
    legacy : with three estimates, reproduce the published error, :func:`derivatives`

    Returns
    -------
    (N, ...) array

    Notes
    -----
    Lu et al. 2022 (DPM-Solver++), Algorithm 2, for the midpoint rule.
    """
    terms = derivatives(history, h, legacy=legacy)
    if midpoint and len(terms) == 1:
        return subtract_terms(x, scale, [(0.5 * z * phi(1, z), terms[0])])
    return taylor_step(x, scale, z, terms)


def multistep_solver(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    prediction: Prediction,
    *,
    order: int,
    midpoint: bool,
    start: str,
    legacy: bool,
) -> Steps:
    """Multistep DPM-Solver and DPM-Solver++; the public samplers state the equations.

    Evaluations: one per step.

    Parameters
    ----------
    prediction : the estimate to expand
    order : 1, 2 or 3
    midpoint : with order 2, use the midpoint rule
    start : ``"low"``, or ``"singlestep"``: the first step has one order less than the solver
    legacy : with order 3, reproduce the published error, :func:`derivatives`

    Raises
    ------
    InputError
        If the order or the start is unknown.
    """
    check_among("order", (1, 2, 3), order)
    ells = half_log_snr(schedule, timesteps)
    inner = starting_times(schedule, ells, start, order - 1)
    history: History = []
    for (t, s), (ell_t, ell_s) in zip(intervals(timesteps), pairwise(ells), strict=True):
        x0_hat, eps_hat = denoise(x, t)
        history = extend_history(history, ell_t, prediction.estimate(x0_hat, eps_hat), order)
        h = ell_s - ell_t
        x = first_order(schedule, x0_hat, eps_hat, s)
        if inner:
            x = singlestep_update(prediction, denoise, schedule, x0_hat, eps_hat, inner, s, h)
            inner = []
        elif isfinite(h):
            x = raise_order(
                x, prediction.scale(schedule, s), prediction.sign * h, h, history,
                midpoint=midpoint and order == 2, legacy=legacy,
            )  # fmt: skip
        yield Step(s, x, x0_hat)
