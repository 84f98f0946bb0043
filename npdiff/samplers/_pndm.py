r"""PNDM's pseudo numerical methods: classical formulas for the slope, followed by a DDIM step.

The slope is eps_hat and the step is :eq:`flow-in-sigma`, which is exact once the mean of eps_hat
over the step is known. The formulas for that mean assume steps of equal length. In sigma / alpha
the lengths usually differ, and the methods are then of second order; with timesteps evenly spaced
in sigma / alpha they have the order of their formulas.

Liu et al. 2022 (PNDM). As in every sampler here the step to the data returns x0_hat; the paper's
programs take it like the others.
"""

from collections import deque

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.samplers.scaled import PURE_NOISE, advance, noise_ratio, runge_kutta
from npdiff.samplers.step import Noise, Step, Steps, intervals
from npdiff.schedules import Schedule

#: Adams-Bashforth weights of the last 2, 3 and 4 slopes, latest first.
ADAMS_BASHFORTH = {
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


def plms(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    noise: Noise | None = None,
) -> Steps:
    r"""Pseudo linear multistep (PLMS).

    .. math::
        :label: plms-step

        \bar\epsilon = \tfrac{1}{24} \left( 55\, \hat\epsilon_0 - 59\, \hat\epsilon_{1}
        + 37\, \hat\epsilon_{2} - 9\, \hat\epsilon_{3} \right)

    from the estimates at the last four times, latest first. The first step takes the mean of the
    slopes at its two ends; the second and the third use the shorter formulas
    :math:`\tfrac12 (3, -1)` and :math:`\tfrac1{12} (23, -16, 5)`.

    Evaluations: one per step and two in the first, N + 1.

    Notes
    -----
    Liu et al. 2022 (PNDM), Eq. 9 and 12; the first steps are those of Stable Diffusion's
    program.
    """
    slopes: deque[Array] = deque(maxlen=4)
    for t, s in intervals(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        u, u_s = noise_ratio(schedule, t), noise_ratio(schedule, s)
        alpha_s = schedule.alpha(s)
        slope = None
        if u_s > 0.0 and u <= PURE_NOISE:
            slopes.appendleft(eps_hat)
            if len(slopes) == 1:
                _, eps_hat_s = denoise(alpha_s * advance(x0_hat, eps_hat, u, u_s), s)
                slope = 0.5 * (eps_hat + eps_hat_s)
            else:
                slope = adams_bashforth(slopes)
        x = alpha_s * advance(x0_hat, eps_hat, u, u_s, slope)
        yield Step(s, x, x0_hat)


def pndm(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    noise: Noise | None = None,
) -> Steps:
    """PNDM: three Runge-Kutta steps of four evaluations each, then PLMS.

    The former are :eq:`pseudo-runge-kutta`, with the middle of a step halfway in time; the latter
    :eq:`plms-step`.

    Evaluations: N + 9.

    Notes
    -----
    Liu et al. 2022 (PNDM), Eq. 9, 12 and 13.
    """
    slopes: deque[Array] = deque(maxlen=4)
    for t, s in intervals(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        u, u_s = noise_ratio(schedule, t), noise_ratio(schedule, s)
        slope = None
        if u_s > 0.0 and u <= PURE_NOISE:
            slopes.appendleft(eps_hat)
            if len(slopes) < 4:
                slope = runge_kutta(denoise, schedule, x0_hat, eps_hat, (t, 0.5 * (t + s), s))
            else:
                slope = adams_bashforth(slopes)
        x = schedule.alpha(s) * advance(x0_hat, eps_hat, u, u_s, slope)
        yield Step(s, x, x0_hat)


def adams_bashforth(slopes: deque[Array]) -> Array:
    """The mean slope over the next step from the last two, three or four, latest first."""
    return sum(w * e for w, e in zip(ADAMS_BASHFORTH[len(slopes)], slopes, strict=True))
