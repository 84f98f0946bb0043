r"""DDIM: the same marginals as the forward process, with as much fresh noise as one likes."""

from itertools import pairwise

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.process import posterior_variance
from npdiff.samplers.step import Noise, Step, Steps, draw
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
    r"""DDIM: deterministic, or with as much fresh noise as one likes.

    .. math::
        :label: ddim-step

        x_s = \alpha_s\, \hat x_0
        + \sqrt{\sigma_s^2 - \eta^2 \tilde\sigma^2_{s|t}}\; \hat\epsilon
        + \eta\, \tilde\sigma_{s|t}\, z

    with the posterior's variance :eq:`posterior-variance`. At eta = 0 it is deterministic, a
    first-order solver of the probability-flow ODE that is exact where x0_hat is constant; at
    eta = 1 it is ancestral sampling with the small variance.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    eta : from 0 to 1, the share of the posterior's standard deviation
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
    Song, Meng and Ermon 2021, Eq. 12 and 16, whose alpha is alpha-bar.
    """
    if not 0.0 <= eta <= 1.0:
        raise InputError(f"eta lies between 0 (deterministic) and 1 (ancestral), got {eta}")
    for i, (t, s) in enumerate(pairwise(timesteps)):
        x0_hat, eps_hat = denoise(x, t)
        fresh = eta**2 * posterior_variance(schedule, s, t)
        kept = np.sqrt(schedule.sigma(s) ** 2 - fresh)
        x = per_sample(schedule.alpha(s), x) * x0_hat + per_sample(kept, x) * eps_hat
        if fresh > 0.0:
            x = x + per_sample(np.sqrt(fresh), x) * draw(noise, i, x)
        yield Step(float(s), x, x0_hat)


def ddim_inversion(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    corrections: int = 0,
) -> Steps:
    r"""DDIM backwards: from data to the noise that leads to them.

    .. math::
        :label: ddim-inversion

        x_t = \frac{\alpha_t}{\alpha_s}\, x_s
        + \left( \sigma_t - \frac{\alpha_t}{\alpha_s}\, \sigma_s \right) \hat\epsilon,
        \qquad s < t

    is :eq:`ddim-step` at eta = 0, solved for x_t. There eps_hat is the estimate at (x_t, t), which
    is not known yet; instead it is taken

    - at (x_s, s), where one stands: a step of the ODE in the other direction, of first order as
      DDIM is, and so is the round trip;
    - at s = 0, where there is no noise to estimate, at (alpha_t x_0, t), the mean of q(x_t | x_0);
    - with ``corrections``, again at (x_t, t) with the last x_t: a fixed-point iteration. Where it
      converges the round trip is exact.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked 1 + corrections times a step
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``, data if that is 0
    timesteps : ascending host array: a sampler's grid reversed
    corrections : how often to correct each step

    Yields
    ------
    Step
        Its ``x0_hat`` is the estimate that goes with the last eps_hat.

    Raises
    ------
    InputError
        If the times do not ascend strictly, or there is less than no correction.

    Notes
    -----
    Song, Meng and Ermon 2021, section 4.3. A network is asked at the time of the state it is shown.
    Programs that take the times of a sampler in reverse, without moving them by one, ask it at
    another, or at a time below 0 in the first step.
    """
    timesteps = schedule.time(timesteps)
    if timesteps.ndim != 1 or timesteps.size < 2 or not (np.diff(timesteps) > 0.0).all():
        raise InputError(
            "inversion goes from data to noise: at least two times, ascending strictly"
        )
    if corrections < 0:
        raise InputError(f"there are 0 corrections or more, got {corrections}")
    for s, t in pairwise(timesteps):
        start, factor = x, np.exp(schedule.log_alpha(t) - schedule.log_alpha(s))
        rest = schedule.sigma(t) - factor * schedule.sigma(s)
        if schedule.sigma(s) == 0.0:
            x0_hat, eps_hat = denoise(per_sample(factor, x) * x, t)
        else:
            x0_hat, eps_hat = denoise(x, s)
        x = per_sample(factor, x) * start + per_sample(rest, x) * eps_hat
        for _ in range(corrections):
            x0_hat, eps_hat = denoise(x, t)
            x = per_sample(factor, x) * start + per_sample(rest, x) * eps_hat
        yield Step(float(t), x, x0_hat)
