r"""Singlestep exponential integrators: derivatives from intermediate times of the step."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.samplers.exponential import Prediction, first_order, phi, subtract_terms
from npdiff.schedules import Schedule


def intermediate_times(
    schedule: Schedule, ells: Sequence[float], orders: Sequence[int]
) -> Iterator[list[float]]:
    r"""For each step the times that divide it, in half log-SNR, into as many parts as its order.

    .. math::
        :label: intermediate-times

        \ell_{s_k} = \ell_t + \frac kp (\ell_s - \ell_t), \qquad k = 1, \dots, p - 1

    There are none in a step of infinite length.

    Notes
    -----
    Lu et al. 2022 (DPM-Solver), section 3.2.
    """
    inner = [
        [a + k / p * (b - a) for k in range(1, p)] if math.isfinite(b - a) else []
        for (a, b), p in zip(pairwise(ells), orders, strict=True)
    ]
    times = iter(schedule.time_at(2.0 * np.array([ell for step in inner for ell in step])).tolist())
    return ([next(times) for _ in step] for step in inner)


def singlestep_update(
    prediction: Prediction,
    denoise: Denoise,
    schedule: Schedule,
    x0_hat: Array,
    eps_hat: Array,
    inner: Sequence[float],
    s: float,
    h: float,
) -> Array:
    r"""One step of DPM-Solver, whose order is one more than its number of intermediate times.

    Without any it is DDIM's :eq:`ddim-step`:

    .. math::
        :label: dpm-solver-1

        x_s = \frac{\alpha_s}{\alpha_t} x_t - \sigma_s \left( e^h - 1 \right) \hat\epsilon_t

    With one, s_1 halfway, where u is the state reached by a step of order one,

    .. math::
        :label: dpm-solver-2

        x_s = \frac{\alpha_s}{\alpha_t} x_t - \sigma_s \left( e^h - 1 \right) \hat\epsilon_t
        - \sigma_s \left( e^h - 1 \right)
        \big( \hat\epsilon(u, s_1) - \hat\epsilon_t \big)

    With two, s_1 at one third (u as before) and s_2 at two thirds (v),

    .. math::
        :label: dpm-solver-3

        v &= \frac{\alpha_{s_2}}{\alpha_t} x_t
        - \sigma_{s_2} \left( e^{2h/3} - 1 \right) \hat\epsilon_t
        - 2\, \sigma_{s_2} \left( \frac{e^{2h/3} - 1}{2h/3} - 1 \right)
        \big( \hat\epsilon(u, s_1) - \hat\epsilon_t \big)
        \\
        x_s &= \frac{\alpha_s}{\alpha_t} x_t - \sigma_s \left( e^h - 1 \right) \hat\epsilon_t
        - \tfrac32\, \sigma_s \left( \frac{e^h - 1}{h} - 1 \right)
        \big( \hat\epsilon(v, s_2) - \hat\epsilon_t \big)

    With data prediction alpha and sigma are exchanged, x0_hat replaces eps_hat, and -h replaces h.

    Parameters
    ----------
    prediction : the estimate to expand
    denoise : maps (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x0_hat, eps_hat : (N, ...) arrays, the estimates at the start
    inner : zero, one or two intermediate times
    s : the time at the end
    h : the length of the step in half log-SNR

    Returns
    -------
    (N, ...) array

    Notes
    -----
    Lu et al. 2022 (DPM-Solver), section 3.2; the intermediate times are their defaults.
    """
    x = first_order(schedule, x0_hat, eps_hat, s)
    if not inner:
        return x
    m = prediction.estimate(x0_hat, eps_hat)
    u = first_order(schedule, x0_hat, eps_hat, inner[0])
    change = prediction.estimate(*denoise(u, inner[0])) - m
    z = prediction.sign * h
    if len(inner) == 1:
        return subtract_terms(x, prediction.scale(schedule, s), [(z * phi(1, z), change)])
    y = z * 2.0 / 3.0
    v = first_order(schedule, x0_hat, eps_hat, inner[1])
    v = subtract_terms(v, prediction.scale(schedule, inner[1]), [(2.0 * y * phi(2, y), change)])
    change = prediction.estimate(*denoise(v, inner[1])) - m
    return subtract_terms(x, prediction.scale(schedule, s), [(1.5 * z * phi(2, z), change)])
