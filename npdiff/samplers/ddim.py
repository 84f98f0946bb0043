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
    times: np.ndarray,
    *,
    eta: float = 0.0,
    noise: Noise | None = None,
) -> Steps:
    r"""DDIM.

    .. math::
        :label: ddim-step

        x_s = \alpha_s\, \hat x_0
        + \sqrt{\sigma_s^2 - \eta^2 \tilde\sigma^2_{s|t}}\; \hat\epsilon
        + \eta\, \tilde\sigma_{s|t}\, z

    with the posterior's variance :eq:`posterior-variance`. At eta = 0 it is deterministic, a
    first-order solver of the probability-flow ODE that is exact where x_0_hat is constant; at
    eta = 1 it is ancestral sampling with the small variance.

    Parameters
    ----------
    denoise : from (x, t) to (x_0_hat, eps_hat)
    schedule : Schedule
    x : (N, ...) array, the state at ``times[0]``
    times : descending host array
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
    for i, (t, s) in enumerate(pairwise(times)):
        x_0, eps = denoise(x, t)
        fresh = eta**2 * posterior_variance(schedule, s, t)
        kept = np.sqrt(schedule.sigma(s) ** 2 - fresh)
        x = per_sample(schedule.alpha(s), x) * x_0 + per_sample(kept, x) * eps
        if fresh > 0.0:
            x = x + per_sample(np.sqrt(fresh), x) * draw(noise, i, x)
        yield Step(float(s), x, x_0)
