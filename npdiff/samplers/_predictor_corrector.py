"""Predictor-corrector sampling: an ancestral step, then Langevin steps at the new noise level."""

import math

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.process import posterior_mean, posterior_variance
from npdiff.samplers.step import Noise, Step, Steps, draw, intervals
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

    where r is the ratio of the step's signal to its noise. As r shrinks, these dynamics preserve
    the marginal q_s and converge to it from any distribution. At finite r their limit is slightly
    off: if q_s is normal with variance V, it has variance :math:`V / (1 - r^2 \sigma_s^2 / V)`,
    which tends to V as sigma_s falls. The step to the data adds no noise and returns x0_hat.

    Evaluations: 1 + ``corrections`` per step, one in the last.

    Parameters
    ----------
    snr : r, from 0 to 1, both excluded
    corrections : Langevin steps after each step; 0 for ancestral sampling alone
    noise : maps the index of a draw to standard normal noise: step i = 0, 1, ... uses the index
        i (1 + corrections), and its corrections the indices after it

    Raises
    ------
    InputError
        If an option is out of range.

    Notes
    -----
    Song et al. 2021, section 4.2 and appendix. There the size of the step is
    ``2 (r |z| / |score|)^2`` with norms averaged over the batch; here it is its value for the score
    -z / sigma, so that samples are independent of their batch, and the step is linear in x where
    the denoiser is. For discrete schedules the paper has a further factor, 1 - beta_t.
    """
    if not 0.0 < snr < 1.0:
        raise InputError(f"snr must lie strictly between 0 and 1, got {snr}")
    if corrections < 0:
        raise InputError(f"corrections must be 0 or more, got {corrections}")
    for i, (t, s) in enumerate(intervals(timesteps)):
        x0_hat, _ = denoise(x, t)
        x = posterior_mean(schedule, x0_hat, x, s, t)
        sigma_s = schedule.sigma(s)
        if sigma_s > 0.0:
            first = i * (1 + corrections)
            x = x + math.sqrt(posterior_variance(schedule, s, t)) * draw(noise, first, x)
            for j in range(1, 1 + corrections):
                _, eps_hat = denoise(x, s)
                x = langevin_step(x, eps_hat, draw(noise, first + j, x), sigma_s, snr)
        yield Step(s, x, x0_hat)


def langevin_step(x: Array, eps_hat: Array, z: Array, sigma: float, snr: float) -> Array:
    """The state after :eq:`langevin-step` at the noise scale ``sigma`` with the noise ``z``."""
    return x - (2.0 * snr**2 * sigma) * eps_hat + (2.0 * snr * sigma) * z
