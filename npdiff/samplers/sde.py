"""Euler and Maruyama's method on the SDE that runs from noise to data."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.denoiser import Denoise
from npdiff.process import posterior_mean, posterior_variance
from npdiff.samplers.scaled import PURE_NOISE, noise_ratio
from npdiff.samplers.step import Noise, Step, Steps, draw
from npdiff.schedules import Schedule


def reverse_drift(schedule: Schedule, x: Array, eps_hat: Array, t: float) -> Array:
    r"""The drift of the SDE whose time runs backwards, with the marginals of the forward one.

    .. math::
        :label: reverse-sde

        \mathrm d x = \left( f(t)\, x - g(t)^2\, \nabla \log q_t(x) \right) \mathrm d t
        + g(t)\, \mathrm d \bar w,
        \qquad \nabla \log q_t(x) = -\frac{\hat\epsilon(x, t)}{\sigma_t}

    Parameters
    ----------
    schedule : Schedule
    x : (N, ...) array
    eps_hat : the denoiser's estimate of the noise at (x, t)
    t : time, 0 < t, with alpha_t > 0

    Notes
    -----
    Anderson 1982; Song et al. 2021, Eq. 6.
    """
    of_eps = schedule.diffusion(t) / schedule.sigma(t)
    return per_sample(schedule.drift(t), x) * x + per_sample(of_eps, x) * eps_hat


def euler_maruyama(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    noise: Noise | None = None,
) -> Steps:
    r"""Euler and Maruyama's method on the reverse SDE, of weak order 1.

    .. math::
        :label: euler-maruyama-step

        x_s = x_t + (s - t) \left( f(t)\, x_t + \frac{g(t)^2}{\sigma_t}\, \hat\epsilon \right)
        + g(t) \sqrt{t - s}\; z

    The step that reaches the data returns x0_hat. Where no signal is left g is infinite: a step
    from there, or from beyond ``PURE_NOISE`` (:mod:`npdiff.samplers.scaled`), is the ancestral one,
    which is exact there. The method wants short steps: it is unstable over those in which log-SNR
    rises by much more than 2.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked once a step
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    noise : from the index of a step to standard normal noise

    Yields
    ------
    Step

    Raises
    ------
    InputError
        If there is no noise.

    Notes
    -----
    Song et al. 2021, section 4.1.
    """
    for i, (t, s) in enumerate(pairwise(timesteps)):
        x0_hat, eps_hat = denoise(x, t)
        if schedule.sigma(s) == 0.0:
            x = x0_hat
        elif noise_ratio(schedule, t) > PURE_NOISE:
            deviation = math.sqrt(float(posterior_variance(schedule, s, t)))
            x = posterior_mean(schedule, x0_hat, x, s, t) + deviation * draw(noise, i, x)
        else:
            deviation = math.sqrt(float(schedule.diffusion(t) * (t - s)))
            x = x + float(s - t) * reverse_drift(schedule, x, eps_hat, t)
            x = x + deviation * draw(noise, i, x)
        yield Step(float(s), x, x0_hat)
