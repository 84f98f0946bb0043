"""The linear multistep method of k-diffusion."""

from collections import deque

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers.checks import check_among
from npdiff.samplers.scaled import (
    PURE_NOISE,
    advance,
    noise_ratio,
    runge_kutta,
    time_at_noise_ratio,
)
from npdiff.samplers.step import Noise, Step, Steps, intervals
from npdiff.schedules import Schedule

#: Beyond this order the weights grow large, and amplify errors.
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
    r"""The linear multistep method: Adams-Bashforth for any timestep spacing.

    .. math::
        :label: lms-step

        z_s = z + \sum_{j=0}^{k-1} \hat\epsilon_j \int_u^{u_s} L_j(v)\, \mathrm d v,
        \qquad
        L_j(v) = \prod_{i \ne j} \frac{v - u_i}{u_j - u_i}

    in the coordinates :eq:`flow-in-sigma`: the polynomial through the last k estimates eps_hat is
    integrated exactly. The step to the data returns x0_hat.

    By default the first steps use the estimates available: 1, 2, ... The first, Euler's, leaves an
    error of second order. From nearly pure noise, where eps_hat hardly changes, it is negligible
    and the order is k; otherwise the order is 2.

    Evaluations: one per step; with the Runge-Kutta start three more in each of the first k - 1.

    Parameters
    ----------
    order : k, from 1 (Euler's method) to 6
    start : ``"low"``, with lower orders, or ``"runge-kutta"``, with steps of fourth order

    Raises
    ------
    InputError
        If the order is not in 1 to 6, or the start is unknown.

    Notes
    -----
    Crowson 2022 (k-diffusion), which integrates numerically, starts low, and takes the last step
    like the others.
    """
    if not 1 <= order <= HIGHEST:
        raise InputError(f"order must be 1 to {HIGHEST}, got {order}")
    check_among("start", STARTS, start)
    nodes: deque[float] = deque(maxlen=order)
    slopes: deque[Array] = deque(maxlen=order)
    for t, s in intervals(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        u, u_s = noise_ratio(schedule, t), noise_ratio(schedule, s)
        slope = None
        if u_s > 0.0 and u <= PURE_NOISE:
            nodes.appendleft(u)
            slopes.appendleft(eps_hat)
            if start == "runge-kutta" and len(nodes) < order:
                middle = time_at_noise_ratio(schedule, 0.5 * (u + u_s))
                slope = runge_kutta(denoise, schedule, x0_hat, eps_hat, (t, middle, s))
            else:
                weights = lagrange_means(np.array(nodes), u, u_s).tolist()
                slope = sum(w * e for w, e in zip(weights, slopes, strict=True))
        x = schedule.alpha(s) * advance(x0_hat, eps_hat, u, u_s, slope)
        yield Step(s, x, x0_hat)


def lagrange_means(nodes: np.ndarray, start: float, end: float) -> np.ndarray:
    """The means over [start, end] of the k Lagrange polynomials of ``nodes``.

    By the Gauss-Legendre rule with enough points to be exact.
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
