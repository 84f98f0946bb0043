"""k-diffusion's ancestral samplers: an ODE step to less noise than s has, then fresh noise."""

import math

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers.scaled import PURE_NOISE, advance, noise_ratio, time_at_noise_ratio
from npdiff.samplers.step import Noise, Step, Steps, draw, intervals
from npdiff.schedules import Schedule


def ancestral_split(u: float, u_s: float, eta: float) -> tuple[float, float]:
    r"""The noise level that a step reaches by the ODE, and the fresh noise that it then adds.

    .. math::
        :label: ancestral-split

        u_\uparrow = \eta\, u_s \sqrt{1 - \frac{u_s^2}{u^2}},
        \qquad
        u_\downarrow = \sqrt{u_s^2 - u_\uparrow^2}

    in sigma / alpha. At eta = 1 the fresh noise has the posterior variance
    :eq:`posterior-variance`.

    Returns
    -------
    u_down, u_up

    Notes
    -----
    Crowson 2022 (k-diffusion).
    """
    if not 0.0 <= eta <= 1.0:
        raise InputError(f"eta must lie between 0 (deterministic) and 1 (ancestral), got {eta}")
    ratio = (u_s / u) ** 2
    u_down = u_s * math.sqrt((1.0 - eta**2) + eta**2 * ratio)  # without cancellation
    return u_down, eta * u_s * math.sqrt(1.0 - ratio)


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

    with :eq:`ancestral-split`. In other coordinates it is DDIM, :eq:`ddim-step`, with the same eta;
    at eta = 1 DDPM with the small variance.

    Evaluations: one per step.

    Parameters
    ----------
    eta : from 0, which needs no noise, to 1

    Raises
    ------
    InputError
        If eta is not in [0, 1].

    Notes
    -----
    Crowson 2022 (k-diffusion).
    """
    for i, (t, s) in enumerate(intervals(timesteps)):
        x0_hat, eps_hat = denoise(x, t)
        u, u_s = noise_ratio(schedule, t), noise_ratio(schedule, s)
        u_down, u_up = ancestral_split(u, u_s, eta)
        z = advance(x0_hat, eps_hat, u, u_down)
        if u_up > 0.0:
            z = z + u_up * draw(noise, i, x)
        x = schedule.alpha(s) * z
        yield Step(s, x, x0_hat)


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

    with :eq:`ancestral-split`. At eta = 0 it is deterministic and of second order; at any eta the
    distribution of its samples converges with second order, because adding noise is exact.

    Evaluations: two per step and one in the last, 2N - 1.

    Parameters
    ----------
    eta : from 0, which needs no noise, to 1

    Raises
    ------
    InputError
        If eta is not in [0, 1].

    Notes
    -----
    Crowson 2022 (k-diffusion); the midpoint is that of DPM-Solver-2, Lu et al. 2022 (DPM-Solver),
    section 3.2.
    """
    for i, (t, s) in enumerate(intervals(timesteps)):
        x0_hat, eps_hat = denoise(x, t)
        u, u_s = noise_ratio(schedule, t), noise_ratio(schedule, s)
        u_down, u_up = ancestral_split(u, u_s, eta)
        slope = None
        if u_s > 0.0 and u <= PURE_NOISE:
            u_m = math.sqrt(u * u_down)
            t_m = time_at_noise_ratio(schedule, u_m)
            _, slope = denoise(schedule.alpha(t_m) * advance(x0_hat, eps_hat, u, u_m), t_m)
        z = advance(x0_hat, eps_hat, u, u_down, slope)
        if u_up > 0.0:
            z = z + u_up * draw(noise, i, x)
        x = schedule.alpha(s) * z
        yield Step(s, x, x0_hat)
