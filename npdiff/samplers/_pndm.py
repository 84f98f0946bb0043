r"""Pseudo numerical methods: classical formulas for the slope, DDIM's step to follow it.

The slope is eps_hat and the step is :eq:`flow-in-sigma`, which is exact once the mean of eps_hat
over the step is known. The formulas for that mean assume steps of equal length. In sigma / alpha
they usually are not, and the methods are then of second order; on a grid that is even in
sigma / alpha they have the order of their formulas.

Liu et al. 2022 (PNDM). As in every sampler here the step that reaches the data returns x0_hat; in
the paper's programs it is no different from the others.
"""

from collections import deque
from itertools import pairwise

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.denoiser import Denoise
from npdiff.samplers.scaled import PURE_NOISE, advance, noise_ratio, runge_kutta
from npdiff.samplers.step import Noise, Step, Steps
from npdiff.schedules import Schedule

#: Adams and Bashforth's weights of the last 2, 3 and 4 slopes, the newest first.
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
    r"""Pseudo linear multistep: a first step with two evaluations, then one a step.

    .. math::
        :label: plms-step

        \bar\epsilon = \tfrac{1}{24} \left( 55\, \hat\epsilon_0 - 59\, \hat\epsilon_{1}
        + 37\, \hat\epsilon_{2} - 9\, \hat\epsilon_{3} \right)

    from the estimates at the last four times, the newest first. The first step takes the mean of
    the slopes at its two ends, the second and the third have the shorter formulas
    :math:`\tfrac12 (3, -1)` and :math:`\tfrac1{12} (23, -16, 5)`.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked once a step and once more: N + 1 times
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    noise : accepted as by every sampler, and not used

    Yields
    ------
    Step

    Notes
    -----
    Liu et al. 2022 (PNDM), Eq. 9 and 12; the first steps are those of the program of Stable
    Diffusion.
    """
    slopes: deque[Array] = deque(maxlen=4)
    for t, s in pairwise(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        u, u_s = noise_ratio(schedule, t), noise_ratio(schedule, s)
        alpha_s = per_sample(schedule.alpha(s), x)
        slope = None
        if u_s > 0.0 and u <= PURE_NOISE:
            slopes.appendleft(eps_hat)
            if len(slopes) == 1:
                _, ahead = denoise(alpha_s * advance(x0_hat, eps_hat, u, u_s), s)
                slope = 0.5 * (eps_hat + ahead)
            else:
                slope = adams_bashforth(slopes)
        x = alpha_s * advance(x0_hat, eps_hat, u, u_s, slope)
        yield Step(float(s), x, x0_hat)


def pndm(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    noise: Noise | None = None,
) -> Steps:
    """PNDM: three Runge-Kutta steps of four evaluations each, then PLMS.

    The former are :eq:`pseudo-runge-kutta`, the middle of a step being that of its times; the
    latter :eq:`plms-step`.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked N + 9 times
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    noise : accepted as by every sampler, and not used

    Yields
    ------
    Step

    Notes
    -----
    Liu et al. 2022 (PNDM), Eq. 9, 12 and 13.
    """
    slopes: deque[Array] = deque(maxlen=4)
    for t, s in pairwise(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        u, u_s = noise_ratio(schedule, t), noise_ratio(schedule, s)
        slope = None
        if u_s > 0.0 and u <= PURE_NOISE:
            slopes.appendleft(eps_hat)
            if len(slopes) < 4:
                visited = (float(t), 0.5 * float(t + s), float(s))
                slope = runge_kutta(denoise, schedule, x0_hat, eps_hat, visited)
            else:
                slope = adams_bashforth(slopes)
        x = per_sample(schedule.alpha(s), x) * advance(x0_hat, eps_hat, u, u_s, slope)
        yield Step(float(s), x, x0_hat)


def adams_bashforth(slopes: deque[Array]) -> Array:
    """The mean slope over the next step from the last two, three or four, the newest first."""
    return sum(w * e for w, e in zip(ADAMS_BASHFORTH[len(slopes)], slopes, strict=True))
