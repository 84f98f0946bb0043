"""Predictor and corrector: an ancestral step, then some of Langevin's at the noise it reached."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.process import posterior_mean, posterior_variance
from npdiff.samplers.step import Noise, Step, Steps, draw
from npdiff.schedules import Schedule


def predictor_corrector(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    snr: float = 0.16,
    corrections: int = 1,
    noise: Noise | None = None,
) -> Steps:
    r"""Ancestral steps with the small variance, each corrected by Langevin dynamics.

    .. math::
        :label: langevin-step

        x \leftarrow x + \varepsilon\, \nabla \log q_s(x) + \sqrt{2 \varepsilon}\; z
        = x - 2 r^2 \sigma_s\, \hat\epsilon(x, s) + 2 r \sigma_s\, z,
        \qquad \varepsilon = 2\, (r \sigma_s)^2

    where r is the size of the step's signal relative to its noise. As r shrinks, these dynamics
    keep the marginal q_s, and lead to it from any other law. At a given r what they lead to is
    slightly off: where q_s is normal with variance V, a variance of :math:`V / (1 - r^2 \sigma_s^2
    / V)`, which tends to V as sigma_s falls. No noise is added on arriving at the data, where the
    last x0_hat is returned.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked 1 + corrections times a step, in the last
        once
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    snr : r, from 0 to 1, both excluded
    corrections : Langevin steps after each step; 0 for ancestral sampling alone
    noise : from the index of a draw to standard normal noise. Step i of 0, 1, ... draws
        i (1 + corrections) for its own noise, and those that follow for its corrections

    Yields
    ------
    Step
        Its ``x0_hat`` is the estimate that the ancestral step was taken with.

    Raises
    ------
    InputError
        If an option lies outside of its range, or there is no noise.

    Notes
    -----
    Song et al. 2021, section 4.2 and appendix. There the size of the step is
    ``2 (r |z| / |score|)^2`` with the norms of the draw at hand, averaged over a batch; here it is
    what that is for the score -z / sigma, so that a sample does not depend on its neighbors, and
    the step is linear in x where the denoiser is. On chains the paper has a factor more, 1 -
    beta_t.
    """
    if not 0.0 < snr < 1.0:
        raise InputError(f"snr lies between 0 and 1, both excluded, got {snr}")
    if corrections < 0:
        raise InputError(f"there are 0 corrections or more, got {corrections}")
    for i, (t, s) in enumerate(pairwise(timesteps)):
        x0_hat, _ = denoise(x, t)
        x = posterior_mean(schedule, x0_hat, x, s, t)
        sigma_s = float(schedule.sigma(s))
        if sigma_s > 0.0:
            first = i * (1 + corrections)
            deviation = math.sqrt(float(posterior_variance(schedule, s, t)))
            x = x + per_sample(deviation, x) * draw(noise, first, x)
            for j in range(1, 1 + corrections):
                _, eps_hat = denoise(x, s)
                x = langevin(x, eps_hat, draw(noise, first + j, x), sigma_s, snr)
        yield Step(float(s), x, x0_hat)


def langevin(x: Array, eps_hat: Array, z: Array, sigma: float, snr: float) -> Array:
    """One step of :eq:`langevin-step` at the noise ``sigma``, with the draw ``z``."""
    return x - (2.0 * snr**2 * sigma) * eps_hat + (2.0 * snr * sigma) * z
