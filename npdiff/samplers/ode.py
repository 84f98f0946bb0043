r"""Runge-Kutta methods on the probability-flow ODE: Euler's and Heun's.

.. math::
    :label: probability-flow

    \frac{\mathrm d x_t}{\mathrm d t}
    = \dot\alpha_t\, \hat x_0(x_t, t) + \dot\sigma_t\, \hat\epsilon(x_t, t)
    = f(t)\, x_t - \tfrac12 g(t)^2\, \nabla \log q_t(x_t)

(Song et al. 2021, section 4.3; in the first form Lipman et al. 2023.) Both end as EDM does: the
step that reaches sigma = 0 returns x0_hat, for there the derivative of sigma need not exist.
"""

from itertools import pairwise

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.denoiser import Denoise
from npdiff.samplers.step import Noise, Step, Steps
from npdiff.schedules import Schedule


def velocity(schedule: Schedule, x0_hat: Array, eps_hat: Array, t: float) -> Array:
    """The right-hand side of :eq:`probability-flow`."""
    along_data = per_sample(schedule.alpha_dot(t), x0_hat) * x0_hat
    return along_data + per_sample(schedule.sigma_dot(t), eps_hat) * eps_hat


def euler(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    noise: Noise | None = None,
) -> Steps:
    r"""Euler's method in time, first order.

    .. math::
        :label: euler-step

        x_s = x_t + (s - t)\, \dot x_t

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked once a step
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    noise : accepted as by every sampler, and not used

    Yields
    ------
    Step
    """
    for t, s in pairwise(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        x = (
            x0_hat
            if schedule.sigma(s) == 0.0
            else x + float(s - t) * velocity(schedule, x0_hat, eps_hat, t)
        )
        yield Step(float(s), x, x0_hat)


def heun(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    noise: Noise | None = None,
) -> Steps:
    r"""Heun's method in time, second order: the mean of the slopes at both ends of a step.

    .. math::
        :label: heun-step

        x' = x_t + (s - t)\, \dot x_t,
        \qquad
        x_s = x_t + \frac{s - t}{2} \left( \dot x_t + \dot x'_s \right)

    Euler's step leads to the other end. Second order where the schedule is smooth. On a chain log
    alpha is linear between rows, and the slope at s is that of the step that ends there.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked twice a step, once in the last: 2N - 1 times
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    noise : accepted as by every sampler, and not used

    Yields
    ------
    Step
        Its ``x0_hat`` is the estimate at the start of the step.

    Notes
    -----
    Karras et al. 2022, Algorithm 1.
    """
    for t, s in pairwise(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        if schedule.sigma(s) == 0.0:
            x = x0_hat
        else:
            slope = velocity(schedule, x0_hat, eps_hat, t)
            ahead = x + float(s - t) * slope
            slope_ahead = velocity(schedule, *denoise(ahead, s), s)
            x = x + 0.5 * float(s - t) * (slope + slope_ahead)
        yield Step(float(s), x, x0_hat)
