"""EDM's stochastic sampler: Heun's method with noise added before each step."""

import math

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers.scaled import PURE_NOISE, advance, noise_ratio, time_at_noise_ratio
from npdiff.samplers.step import Noise, Step, Steps, draw, intervals
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
    Without churn it is a deterministic second-order method. The step to u = 0 returns x0_hat. No
    u_hat exceeds the level of ``t_max``, beyond which no network is trained, and no noise is added
    to pure noise.

    Evaluations: two per step and one in the last, 2N - 1.

    Parameters
    ----------
    s_churn : the amount of noise to add, over all steps; 0 needs no noise
    s_min, s_max : the range of sigma / alpha in which to add it
    s_noise : the scale of the fresh noise, 1 or slightly above

    Raises
    ------
    InputError
        If an option is negative, or s_min exceeds s_max.

    Notes
    -----
    Karras et al. 2022, Algorithm 2; without churn Algorithm 1.
    """
    for name, value in (("s_churn", s_churn), ("s_min", s_min), ("s_noise", s_noise)):
        if not 0.0 <= value < math.inf:
            raise InputError(f"{name} must be finite and 0 or more, got {value}")
    if not s_max >= s_min:
        raise InputError(f"s_min must not exceed s_max, got {s_min} and {s_max}")
    gamma = min(s_churn / (len(timesteps) - 1), math.sqrt(2.0) - 1.0)
    highest = noise_ratio(schedule, schedule.t_max)
    for i, (t, s) in enumerate(intervals(timesteps)):
        u, u_s = noise_ratio(schedule, t), noise_ratio(schedule, s)
        if s_min <= u <= min(s_max, PURE_NOISE) and (u_hat := min((1.0 + gamma) * u, highest)) > u:
            t_hat = time_at_noise_ratio(schedule, u_hat)
            fresh = s_noise * math.sqrt(u_hat**2 - u**2)
            z = (1.0 / schedule.alpha(t)) * x + fresh * draw(noise, i, x)
            x, t, u = schedule.alpha(t_hat) * z, t_hat, u_hat
        alpha_s = schedule.alpha(s)
        x0_hat, eps_hat = denoise(x, t)
        z = advance(x0_hat, eps_hat, u, u_s)
        if u_s > 0.0 and u <= PURE_NOISE:
            _, eps_hat_s = denoise(alpha_s * z, s)
            z = advance(x0_hat, eps_hat, u, u_s, 0.5 * (eps_hat + eps_hat_s))
        x = alpha_s * z
        yield Step(s, x, x0_hat)
