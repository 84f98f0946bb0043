r"""Singlestep exponential integrators: derivatives from times between the ends of the step."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.samplers.exponential import SolverPrediction, added, first_order, phi
from npdiff.schedules import Schedule


def intermediate_times(
    schedule: Schedule, places: Sequence[float], orders: Sequence[int]
) -> Iterator[list[float]]:
    r"""For each step the times that divide it into as many equal parts as its order.

    .. math::
        :label: intermediate-times

        \ell_{s_k} = \ell_t + \frac kp (\ell_s - \ell_t), \qquad k = 1, \dots, p - 1

    None for a step of infinite length.

    Notes
    -----
    Lu et al. 2022 (DPM-Solver), section 3.2.
    """
    wanted = [
        [a + k / p * (b - a) for k in range(1, p)] if math.isfinite(b - a) else []
        for (a, b), p in zip(pairwise(places), orders, strict=True)
    ]
    found = iter(schedule.time_at(2.0 * np.array([place for step in wanted for place in step])))
    return ([float(next(found)) for _ in step] for step in wanted)


def singlestep(
    prediction: SolverPrediction,
    denoise: Denoise,
    schedule: Schedule,
    x0_hat: Array,
    eps_hat: Array,
    inner: Sequence[float],
    s: float,
    h: float,
) -> Array:
    r"""One step of DPM-Solver: its order is one more than the number of times in between.

    Without one it is DDIM's :eq:`ddim-step`:

    .. math::
        :label: dpm-solver-1

        x_s = \frac{\alpha_s}{\alpha_t} x_t - \sigma_s \left( e^h - 1 \right) \hat\epsilon_t

    With one, u being what the step of order one finds at s_1, half way,

    .. math::
        :label: dpm-solver-2

        x_s = \frac{\alpha_s}{\alpha_t} x_t - \sigma_s \left( e^h - 1 \right) \hat\epsilon_t
        - \sigma_s \left( e^h - 1 \right)
        \big( \hat\epsilon(u, s_1) - \hat\epsilon_t \big)

    With two, at a third (u as before) and at two thirds (v) of the way,

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

    The data's form exchanges alpha and sigma, and has x0_hat for eps_hat and -h for h.

    Parameters
    ----------
    prediction : Form
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x0_hat, eps_hat : (N, ...) arrays, the estimates at the start
    inner : none, one or two times in between
    s : the time to arrive at
    h : the length of the step in half log-SNR

    Returns
    -------
    (N, ...) array

    Notes
    -----
    Lu et al. 2022 (DPM-Solver), section 3.2; the fractions of the way are their defaults.
    """
    x, m, p = (
        first_order(schedule, x0_hat, eps_hat, s),
        prediction.estimate(x0_hat, eps_hat),
        len(inner) + 1,
    )
    if p == 1:
        return x
    u = first_order(schedule, x0_hat, eps_hat, inner[0])
    change = prediction.estimate(*denoise(u, inner[0])) - m
    z = prediction.sign * h
    if p == 2:
        return added(x, prediction.scale(schedule, s), [(z * phi(1, z), change)])
    y = z * 2.0 / 3.0
    v = first_order(schedule, x0_hat, eps_hat, inner[1])
    v = added(v, prediction.scale(schedule, inner[1]), [(2.0 * y * phi(2, y), change)])
    change = prediction.estimate(*denoise(v, inner[1])) - m
    return added(x, prediction.scale(schedule, s), [(1.5 * z * phi(2, z), change)])
