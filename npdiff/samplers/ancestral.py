"""Ancestral samplers of k-diffusion: down the ODE too far, then up again with fresh noise."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers.scaled import PURE_NOISE, advance, noise_ratio, time_of
from npdiff.samplers.step import Noise, Step, Steps, draw
from npdiff.schedules import Schedule


def split(u: float, u_s: float, eta: float) -> tuple[float, float]:
    r"""How far down a step goes, and how much noise then leads up to its end.

    .. math::
        :label: ancestral-split

        u_\uparrow = \eta\, u_s \sqrt{1 - \frac{u_s^2}{u^2}},
        \qquad
        u_\downarrow = \sqrt{u_s^2 - u_\uparrow^2}

    in sigma / alpha. At eta = 1 the noise has the posterior's variance :eq:`posterior-variance`.

    Returns
    -------
    down, up

    Notes
    -----
    Crowson 2022 (k-diffusion).
    """
    if not 0.0 <= eta <= 1.0:
        raise InputError(f"eta lies between 0 (deterministic) and 1 (ancestral), got {eta}")
    left = (u_s / u) ** 2
    down = u_s * math.sqrt((1.0 - eta**2) + eta**2 * left)  # nothing cancels
    return down, eta * u_s * math.sqrt(1.0 - left)


def euler_ancestral(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    eta: float = 1.0,
    noise: Noise | None = None,
) -> Steps:
    r"""Euler's method in sigma / alpha, with fresh noise.

    .. math::
        :label: euler-ancestral-step

        z_s = z + (u_\downarrow - u)\, \hat\epsilon + u_\uparrow\, \zeta,
        \qquad \zeta \sim \mathcal N(0, I)

    with :eq:`ancestral-split`. It is DDIM, :eq:`ddim-step`, with the same eta, in other
    coordinates: at eta = 1 DDPM with the small variance.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked once a step
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    eta : from 0, deterministic, to 1
    noise : from the index of a step to standard normal noise; unused at eta = 0

    Yields
    ------
    Step

    Raises
    ------
    InputError
        If eta lies outside of [0, 1], or is positive and there is no noise.

    Notes
    -----
    Crowson 2022 (k-diffusion).
    """
    for i, (t, s) in enumerate(pairwise(timesteps)):
        x0_hat, eps_hat = denoise(x, t)
        u, u_s = noise_ratio(schedule, t), noise_ratio(schedule, s)
        down, up = split(u, u_s, eta)
        z = advance(x0_hat, eps_hat, u, down)
        if up > 0.0:
            z = z + up * draw(noise, i, x)
        x = per_sample(schedule.alpha(s), x) * z
        yield Step(float(s), x, x0_hat)


def dpm2_ancestral(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    eta: float = 1.0,
    noise: Noise | None = None,
) -> Steps:
    r"""The midpoint method in log(sigma / alpha), with fresh noise.

    .. math::
        :label: dpm2-ancestral-step

        u_m = \sqrt{u\, u_\downarrow},
        \qquad z_m = z + (u_m - u)\, \hat\epsilon(z, u),
        \qquad z_s = z + (u_\downarrow - u)\, \hat\epsilon(z_m, u_m) + u_\uparrow\, \zeta

    with :eq:`ancestral-split`. At eta = 0 it is deterministic and of second order; at any eta so is
    the law of its samples, since the way up is exact.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked twice a step, once in the last: 2N - 1 times
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    eta : from 0, deterministic, to 1
    noise : from the index of a step to standard normal noise; unused at eta = 0

    Yields
    ------
    Step

    Raises
    ------
    InputError
        If eta lies outside of [0, 1], or is positive and there is no noise.

    Notes
    -----
    Crowson 2022 (k-diffusion); the midpoint is that of DPM-Solver-2, Lu et al. 2022 (DPM-Solver),
    section 3.2.
    """
    for i, (t, s) in enumerate(pairwise(timesteps)):
        x0_hat, eps_hat = denoise(x, t)
        u, u_s = noise_ratio(schedule, t), noise_ratio(schedule, s)
        down, up = split(u, u_s, eta)
        slope = None
        if u_s > 0.0 and u <= PURE_NOISE:
            u_m = math.sqrt(u * down)
            t_m = time_of(schedule, u_m)
            _, slope = denoise(
                per_sample(schedule.alpha(t_m), x) * advance(x0_hat, eps_hat, u, u_m), t_m
            )
        z = advance(x0_hat, eps_hat, u, down, slope)
        if up > 0.0:
            z = z + up * draw(noise, i, x)
        x = per_sample(schedule.alpha(s), x) * z
        yield Step(float(s), x, x0_hat)
