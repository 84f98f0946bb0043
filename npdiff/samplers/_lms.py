"""The linear multistep method: the slopes of the steps before, for one evaluation a step."""

from collections import deque
from itertools import pairwise

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers.scaled import PURE_NOISE, advance, noise_ratio, runge_kutta, time_of
from npdiff.samplers.step import Noise, Step, Steps
from npdiff.schedules import Schedule

#: Beyond this the method is of no use: its weights grow, and so does what they make of errors.
HIGHEST = 6

STARTS = ("low", "runge-kutta")


def lms(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    order: int = 4,
    start: str = "low",
    noise: Noise | None = None,
) -> Steps:
    r"""Linear multistep (Adams and Bashforth's method on a grid of any spacing).

    .. math::
        :label: lms-step

        z_s = z + \sum_{j=0}^{k-1} \hat\epsilon_j \int_u^{u_s} L_j(v)\, \mathrm d v,
        \qquad
        L_j(v) = \prod_{i \ne j} \frac{v - u_i}{u_j - u_i}

    in the coordinates :eq:`flow-in-sigma`: the polynomial through eps_hat at the last k times is
    integrated exactly. The step that reaches the data returns x0_hat.

    How it starts is an option. By default the first steps use as many times as there are: 1, 2, ...
    The first of them, Euler's, leaves an error of second order. If it starts from nearly pure
    noise, where eps_hat hardly changes, that is not seen and the order is k; otherwise it is 2.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked once a step, with a Runge-Kutta start three
        times more in each of the first k - 1
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    order : k, from 1 (Euler's method) to 6
    start : ``"low"``, with lower orders, or ``"runge-kutta"``, with steps of fourth order
    noise : accepted as by every sampler, and not used

    Yields
    ------
    Step

    Raises
    ------
    InputError
        If the order lies outside of 1 to 6, or the start is another.

    Notes
    -----
    Crowson 2022 (k-diffusion), where the integrals are numerical, the start is low, and the last
    step is no different from the others.
    """
    if not 1 <= order <= HIGHEST:
        raise InputError(f"the order of lms is 1 to {HIGHEST}, got {order}")
    if start not in STARTS:
        raise InputError(f"unknown start {start!r}: choose one of {', '.join(STARTS)}")
    nodes: deque[float] = deque(maxlen=order)
    slopes: deque[Array] = deque(maxlen=order)
    for t, s in pairwise(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        u, u_s = noise_ratio(schedule, t), noise_ratio(schedule, s)
        slope = None
        if u_s > 0.0 and u <= PURE_NOISE:
            nodes.appendleft(u)
            slopes.appendleft(eps_hat)
            if start == "runge-kutta" and len(nodes) < order:
                visited = (float(t), time_of(schedule, 0.5 * (u + u_s)), float(s))
                slope = runge_kutta(denoise, schedule, x0_hat, eps_hat, visited)
            else:
                weights = lagrange_means(np.array(nodes), u, u_s).tolist()
                slope = sum(w * e for w, e in zip(weights, slopes, strict=True))
        x = per_sample(schedule.alpha(s), x) * advance(x0_hat, eps_hat, u, u_s, slope)
        yield Step(float(s), x, x0_hat)


def lagrange_means(nodes: np.ndarray, start: float, end: float) -> np.ndarray:
    """The means over [start, end] of the Lagrange polynomials of ``nodes``, (k,).

    By Gauss and Legendre's rule with as many points as make it exact.
    """
    k = len(nodes)
    points, weights = np.polynomial.legendre.leggauss((k + 1) // 2)
    v = 0.5 * (start + end) + 0.5 * (end - start) * points
    means = np.empty(k)
    for j in range(k):
        others = np.delete(nodes, j)
        values = np.prod((v[:, None] - others) / (nodes[j] - others), axis=1)
        means[j] = 0.5 * float(weights @ values)
    return means
