"""EDM's stochastic sampler: Heun's method, with some noise put back before each step."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers.scaled import PURE_NOISE, advance, noise_ratio, time_of
from npdiff.samplers.step import Noise, Step, Steps, draw
from npdiff.schedules import Schedule


def edm(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    s_churn: float = 0.0,
    s_min: float = 0.0,
    s_max: float = math.inf,
    s_noise: float = 1.0,
    noise: Noise | None = None,
) -> Steps:
    r"""EDM's sampler: Heun's method in sigma / alpha, with churn.

    .. math::
        :label: edm-churn

        \gamma = \min\!\left(\frac{S_{\text{churn}}}{N},\, \sqrt 2 - 1\right)
        \text{ if } u \in [S_{\min}, S_{\max}], \text{ else } 0,
        \qquad \hat u = (1 + \gamma)\, u,
        \qquad \hat z = z + S_{\text{noise}} \sqrt{\hat u^2 - u^2}\; \epsilon

    .. math::
        :label: edm-step

        z' = \hat z + (u_s - \hat u)\, \hat\epsilon(\hat z, \hat u),
        \qquad
        z_s = \hat z + \tfrac12 (u_s - \hat u)
        \left( \hat\epsilon(\hat z, \hat u) + \hat\epsilon(z', u_s) \right)

    in the coordinates :eq:`flow-in-sigma`; EDM's own schedule has alpha = 1, and u is its sigma.
    With no churn it is a deterministic method of second order. The step that reaches u = 0 returns
    x0_hat. Noise is never raised above that of the schedule at ``t_max``, beyond which no network
    was trained, and none is added to pure noise.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked twice a step, once in the last: 2N - 1 times
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    s_churn : how much noise to put back, over all steps; 0 for none
    s_min, s_max : the range of sigma / alpha where that is done
    s_noise : the scale of the fresh noise, 1 or a little above
    noise : from the index of a step to standard normal noise; unused without churn

    Yields
    ------
    Step
        Its ``x0_hat`` is the estimate after the churn.

    Raises
    ------
    InputError
        If an option is negative, or there is churn and no noise.

    Notes
    -----
    Karras et al. 2022, Algorithm 2; without churn Algorithm 1.
    """
    for name, value in (("s_churn", s_churn), ("s_min", s_min), ("s_noise", s_noise)):
        if not 0.0 <= value < math.inf:
            raise InputError(f"{name} is a number from 0 up, got {value}")
    if not s_max >= s_min:
        raise InputError(f"s_min is at most s_max, got {s_min} and {s_max}")
    churn = min(s_churn / (len(timesteps) - 1), math.sqrt(2.0) - 1.0)
    highest = noise_ratio(schedule, schedule.t_max)
    for i, (t, s) in enumerate(pairwise(timesteps)):
        u, u_s = noise_ratio(schedule, t), noise_ratio(schedule, s)
        if s_min <= u <= min(s_max, PURE_NOISE) and (raised := min((1.0 + churn) * u, highest)) > u:
            t_hat = time_of(schedule, raised)
            added = s_noise * math.sqrt(raised**2 - u**2)
            z = per_sample(1.0 / schedule.alpha(t), x) * x + added * draw(noise, i, x)
            x, t, u = per_sample(schedule.alpha(t_hat), x) * z, t_hat, raised
        alpha_s = per_sample(schedule.alpha(s), x)
        x0_hat, eps_hat = denoise(x, t)
        z = advance(x0_hat, eps_hat, u, u_s)
        if u_s > 0.0 and u <= PURE_NOISE:
            _, eps_ahead = denoise(alpha_s * z, s)
            z = advance(x0_hat, eps_hat, u, u_s, 0.5 * (eps_hat + eps_ahead))
        x = alpha_s * z
        yield Step(float(s), x, x0_hat)
