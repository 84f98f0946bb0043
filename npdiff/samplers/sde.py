"""The Euler-Maruyama method on the reverse SDE."""

import math

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.process import posterior_mean, posterior_variance
from npdiff.samplers.scaled import PURE_NOISE, noise_ratio
from npdiff.samplers.step import Noise, Step, Steps, draw, intervals
from npdiff.schedules import Schedule


def reverse_drift(schedule: Schedule, x: Array, eps_hat: Array, t: float) -> Array:
    r"""The drift of the reverse SDE, which has the marginals of the forward process.

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
    t : time, t > 0, with alpha_t > 0

    Notes
    -----
    Anderson 1982; Song et al. 2021, Eq. 6.
    """
    f, g_squared, sigma_t = schedule.drift(t), schedule.diffusion(t), schedule.sigma(t)
    return f * x + (g_squared / sigma_t) * eps_hat


def euler_maruyama(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    noise: Noise | None = None,
) -> Steps:
    r"""The Euler-Maruyama method on the reverse SDE, of weak order 1.

    .. math::
        :label: euler-maruyama-step

        x_s = x_t + (s - t) \left( f(t)\, x_t + \frac{g(t)^2}{\sigma_t}\, \hat\epsilon \right)
        + g(t) \sqrt{t - s}\; z

    The step to the data returns x0_hat. Where no signal is left g is infinite: a step from there,
    or from beyond ``PURE_NOISE`` (:mod:`npdiff.samplers.scaled`), is ancestral, which is exact
    there. The method needs short steps: it is unstable if log-SNR rises by much more than 2 in one.

    Evaluations: one per step.

    Notes
    -----
    Song et al. 2021, section 4.1.
    """
    for i, (t, s) in enumerate(intervals(timesteps)):
        x0_hat, eps_hat = denoise(x, t)
        if schedule.sigma(s) == 0.0:
            x = x0_hat
        elif noise_ratio(schedule, t) > PURE_NOISE:
            mean, variance = (
                posterior_mean(schedule, x0_hat, x, s, t),
                posterior_variance(schedule, s, t),
            )
            x = mean + math.sqrt(variance) * draw(noise, i, x)
        else:
            x = x + (s - t) * reverse_drift(schedule, x, eps_hat, t)
            x = x + math.sqrt(schedule.diffusion(t) * (t - s)) * draw(noise, i, x)
        yield Step(s, x, x0_hat)
