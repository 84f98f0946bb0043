r"""Euler's and Heun's methods on the probability-flow ODE.

.. math::
    :label: probability-flow

    \frac{\mathrm d x_t}{\mathrm d t}
    = \dot\alpha_t\, \hat x_0(x_t, t) + \dot\sigma_t\, \hat\epsilon(x_t, t)
    = f(t)\, x_t - \tfrac12 g(t)^2\, \nabla \log q_t(x_t)

(Song et al. 2021, section 4.3; in the first form Lipman et al. 2023.) As in EDM, the step to
sigma = 0 returns x0_hat, since the derivative of sigma need not exist there.
"""

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.samplers.step import Noise, Step, Steps, intervals
from npdiff.schedules import Schedule


def velocity(schedule: Schedule, x0_hat: Array, eps_hat: Array, t: float) -> Array:
    """The right-hand side of :eq:`probability-flow`."""
    return schedule.alpha_dot(t) * x0_hat + schedule.sigma_dot(t) * eps_hat


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

    Evaluations: one per step.

    """
    for t, s in intervals(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        if schedule.sigma(s) == 0.0:
            x = x0_hat
        else:
            x = x + (s - t) * velocity(schedule, x0_hat, eps_hat, t)
        yield Step(s, x, x0_hat)


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

    The first is Euler's step. Second order where the schedule is smooth. In a discrete schedule log
    alpha is linear between whole times, and the slope at s is that of the step that ends there.

    Evaluations: two per step and one in the last, 2N - 1.

    Notes
    -----
    Karras et al. 2022, Algorithm 1.
    """
    for t, s in intervals(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        if schedule.sigma(s) == 0.0:
            x = x0_hat
        else:
            slope = velocity(schedule, x0_hat, eps_hat, t)
            slope_s = velocity(schedule, *denoise(x + (s - t) * slope, s), s)
            x = x + 0.5 * (s - t) * (slope + slope_s)
        yield Step(s, x, x0_hat)
