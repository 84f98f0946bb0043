r"""DDIM: deterministic or stochastic sampling, and inversion from data to noise."""

import math

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.process import posterior_variance
from npdiff.samplers.checks import check_timesteps
from npdiff.samplers.step import Noise, Step, Steps, draw, intervals
from npdiff.schedules import Schedule


def ddim(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    eta: float = 0.0,
    noise: Noise | None = None,
) -> Steps:
    r"""DDIM: deterministic at eta = 0, ancestral at eta = 1.

    .. math::
        :label: ddim-step

        x_s = \alpha_s\, \hat x_0
        + \sqrt{\sigma_s^2 - \eta^2 \tilde\sigma^2_{s|t}}\; \hat\epsilon
        + \eta\, \tilde\sigma_{s|t}\, z

    with the posterior variance :eq:`posterior-variance`. At eta = 0 it is a first-order solver of
    the probability-flow ODE, exact where x0_hat is constant; at eta = 1 it is ancestral sampling
    with the small variance.

    Parameters
    ----------
    eta : from 0 to 1, the fraction of the posterior standard deviation; 0 needs no noise

    Raises
    ------
    InputError
        If eta is not in [0, 1].

    Notes
    -----
    Song, Meng and Ermon 2021, Eq. 12 and 16, whose alpha is alpha-bar.
    """
    if not 0.0 <= eta <= 1.0:
        raise InputError(f"eta must lie between 0 (deterministic) and 1 (ancestral), got {eta}")
    for i, (t, s) in enumerate(intervals(timesteps)):
        x0_hat, eps_hat = denoise(x, t)
        alpha_s, sigma_s = schedule.alpha(s), schedule.sigma(s)
        variance = eta**2 * posterior_variance(schedule, s, t)
        x = alpha_s * x0_hat + math.sqrt(sigma_s**2 - variance) * eps_hat
        if variance > 0.0:
            x = x + math.sqrt(variance) * draw(noise, i, x)
        yield Step(s, x, x0_hat)


def ddim_inversion(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    corrections: int = 0,
) -> Steps:
    r"""DDIM inversion: from data to the noise from which :func:`ddim` returns them.

    .. math::
        :label: ddim-inversion

        x_t = \frac{\alpha_t}{\alpha_s}\, x_s
        + \left( \sigma_t - \frac{\alpha_t}{\alpha_s}\, \sigma_s \right) \hat\epsilon,
        \qquad s < t

    is :eq:`ddim-step` at eta = 0, solved for x_t. There eps_hat is the estimate at (x_t, t), which
    is not known yet; instead it is evaluated

    - at (x_s, s), the current state: a first-order step of the ODE towards noise, which makes the
      round trip first order as well;
    - at s = 0, where there is no noise to estimate, at (alpha_t x_0, t), the mean of q(x_t | x_0);
    - with ``corrections``, again at (x_t, t) with the latest x_t: a fixed-point iteration. Where it
      converges the round trip is exact.

    Evaluations: 1 + ``corrections`` per step.

    Parameters
    ----------
    denoise : maps (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``; data if that is 0
    timesteps : ascending host array: a sampler's timesteps reversed
    corrections : the number of corrections of each step

    Yields
    ------
    Step
        Its ``x0_hat`` belongs to the last eps_hat.

    Raises
    ------
    InputError
        If the timesteps do not ascend strictly, or ``corrections`` is negative.

    Notes
    -----
    Song, Meng and Ermon 2021, section 4.3. The network is evaluated at the time of its input.
    Programs that reverse a sampler's timesteps without shifting them by one evaluate it at another
    time, or at a negative one in the first step.
    """
    timesteps = check_timesteps(schedule, timesteps, ascending=True)
    if corrections < 0:
        raise InputError(f"corrections must be 0 or more, got {corrections}")
    for s, t in intervals(timesteps):
        x_s, sigma_s, sigma_t = x, schedule.sigma(s), schedule.sigma(t)
        ratio = float(np.exp(schedule.log_alpha(t) - schedule.log_alpha(s)))  # alpha_t / alpha_s
        x0_hat, eps_hat = denoise(ratio * x_s, t) if sigma_s == 0.0 else denoise(x_s, s)
        x = ratio * x_s + (sigma_t - ratio * sigma_s) * eps_hat
        for _ in range(corrections):
            x0_hat, eps_hat = denoise(x, t)
            x = ratio * x_s + (sigma_t - ratio * sigma_s) * eps_hat
        yield Step(t, x, x0_hat)
