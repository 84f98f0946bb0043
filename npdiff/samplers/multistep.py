r"""Multistep exponential integrators: derivatives from the estimates of earlier steps.

What is remembered is a list, latest first, of the places in half log-SNR and the estimates there.
A method of order p needs p of them, and while there are fewer its order is lower. The error of the
first step, which is of order one, is of size h^2 and stays; it is in proportion to how fast the
estimate changes there. At nearly pure noise that is hardly at all, and one measures order 3 until
errors are small; a start at less noise (from an image that was given some, say) makes the order 2
at most. Where that matters the first step can be a singlestep one of order 2, for one evaluation
more.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite

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
    taylor,
)
from npdiff.samplers.singlestep import intermediate_times, singlestep
from npdiff.samplers.step import Step, Steps
from npdiff.schedules import Schedule

STARTS = ("low", "singlestep")

#: Places in half log-SNR and the estimates there, latest first.
History = list[tuple[float, Array]]


def remembered(history: History, place: float, estimate: Array, order: int) -> History:
    """The history with one more estimate, no longer than the order needs.

    A place at infinity, alpha = 0, is no place to take a difference to: it is left out.
    """
    return [(place, estimate), *history][:order] if isfinite(place) else []


def derivatives(history: History, h: float, *, legacy: bool = False) -> Sequence[Array]:
    r"""The derivatives of the polynomial through two or three estimates, at the latest.

    .. math::
        :label: divided-differences

        m'_0 \approx m_{01} + (\ell_0 - \ell_1)\, m_{012},
        \qquad
        m''_0 \approx 2\, m_{012},
        \qquad
        m_{01} = \frac{m_0 - m_1}{\ell_0 - \ell_1},
        \quad
        m_{012} = \frac{m_{01} - m_{12}}{\ell_0 - \ell_2}

    of which two estimates give the first, with m_012 = 0. The 2 is missing from the third-order
    multistep formulas of public code, which are of second order without it.

    Parameters
    ----------
    history : at distinct places, latest first
    h : the length of the step to come
    legacy : leave out the 2

    Returns
    -------
    h m' and, of three estimates, h^2 m''

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
    schedule: Schedule, places: Sequence[float], start: str, order: int
) -> list[float]:
    """The times in between of a first step that is of that order, and singlestep if so asked.

    Parameters
    ----------
    schedule : Schedule
    places : of the whole grid
    start : ``"low"``, and there are none, or ``"singlestep"``
    order : 1, for which there are none either, 2 or 3

    Raises
    ------
    InputError
        If the start is another.
    """
    if start not in STARTS:
        raise InputError(f"unknown start {start!r}: choose one of {', '.join(STARTS)}")
    (inner,) = intermediate_times(schedule, places[:2], [order if start == "singlestep" else 1])
    return inner


def extrapolated(
    x: Array,
    scale: float,
    z: float,
    h: float,
    history: History,
    *,
    midpoint: bool = False,
    legacy: bool = False,
) -> Array:
    r"""A step of order one raised to that of its history.

    By :eq:`exponential-taylor` with the derivatives :eq:`divided-differences`; or, of two
    estimates, by the midpoint rule, which is of the same order and does without
    :math:`\varphi_2`:

    .. math::
        :label: midpoint-rule

        z\, \varphi_2(z)\; h m' \;\approx\; \tfrac12\, z\, \varphi_1(z)\; h m'

    Parameters
    ----------
    x : (N, ...) array, the step of order one
    scale, z : as :func:`npdiff.samplers.exponential.taylor` takes them
    h : the finite length of the step in half log-SNR
    history : at distinct places, latest first
    midpoint : with two estimates, the midpoint rule
    legacy : with three estimates, the form published in code

    Returns
    -------
    (N, ...) array

    Notes
    -----
    Lu et al. 2022 (DPM-Solver++), Algorithm 2, for the midpoint rule.
    """
    terms = derivatives(history, h, legacy=legacy)
    if midpoint and len(terms) == 1:
        return added(x, scale, [(0.5 * z * phi(1, z), terms[0])])
    return taylor(x, scale, z, terms)


def multistep(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    prediction: SolverPrediction,
    *,
    order: int,
    midpoint: bool,
    start: str,
    legacy: bool,
) -> Steps:
    """The multistep solver of DPM-Solver, by either form; its callers say which equation it is.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked once a step
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    prediction : Form
    order : 1, 2 or 3
    midpoint : with order 2, use the midpoint rule
    start : ``"low"``, or ``"singlestep"``: the first step is of one order less than the whole
    legacy : of three estimates, the form published in code

    Yields
    ------
    Step

    Raises
    ------
    InputError
        If the order or the start is another.
    """
    order_among((1, 2, 3), order)
    places = half_log_snr(schedule, timesteps)
    inner = starting_times(schedule, places, start, order - 1)
    history: History = []
    for (t, s), (place, place_s) in zip(pairwise(timesteps), pairwise(places), strict=True):
        x0_hat, eps_hat = denoise(x, t)
        history = remembered(history, place, prediction.estimate(x0_hat, eps_hat), order)
        x, h = first_order(schedule, x0_hat, eps_hat, s), place_s - place
        if inner:
            x, inner = singlestep(prediction, denoise, schedule, x0_hat, eps_hat, inner, s, h), []
        elif isfinite(h):
            x = extrapolated(
                x, prediction.scale(schedule, s), prediction.sign * h, h, history,
                midpoint=midpoint and order == 2, legacy=legacy,
            )  # fmt: skip
        yield Step(float(s), x, x0_hat)
