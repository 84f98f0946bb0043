r"""DDPM's ancestral sampling, between any two times."""

import math

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.denoiser import Denoise
from npdiff.process import posterior_mean
from npdiff.samplers.step import Noise, Step, Steps, draw, intervals
from npdiff.schedules import Schedule
from npdiff.variances import VARIANCES, Variance


def ddpm(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    variance: str | Variance = "small",
    noise: Noise | None = None,
) -> Steps:
    r"""DDPM's ancestral sampling: the reverse Markov chain, with fresh noise in every step.

    .. math::
        :label: ancestral-step

        x_{t-1} = \frac{1}{\sqrt{1 - \beta_t}} \left( x_t
        - \frac{\beta_t}{\sqrt{1 - \bar\alpha_t}}\, \epsilon_\theta(x_t, t) \right) + \sigma_t z,
        \qquad z \sim \mathcal N(0, I)

    is DDPM's step in its own symbols. It equals the posterior mean :eq:`posterior-mean` at x0_hat
    plus noise; in that form, used here, it goes from any t to any s < t. In the equation sigma_t is
    the standard deviation of the step's noise:

    - ``"small"``: the posterior variance :eq:`posterior-variance`, DDPM's beta-tilde_t, exact if
      the data are a single point;
    - ``"large"``: the variance of the forward step :eq:`transition`, DDPM's beta_t, exact if the
      data are N(0, I);
    - or a function's value: the optimal variance of :mod:`npdiff.variances`, or a learned one.

    With a name the step to sigma_s = 0, the data, adds no noise. A function is evaluated there too:
    the optimal variance is then that of x_0 given x_t, and gives the samples the variance of the
    data.

    Parameters
    ----------
    variance : ``"small"``, ``"large"``, or a function of (x_t, s, t)

    Raises
    ------
    InputError
        If the variance's name is unknown.

    Notes
    -----
    Ho et al. 2020, section 3.2 and Algorithm 2.
    """
    if isinstance(variance, str):
        VARIANCES[variance]
    for i, (t, s) in enumerate(intervals(timesteps)):
        x0_hat, _ = denoise(x, t)
        mean = posterior_mean(schedule, x0_hat, x, s, t)
        if not isinstance(variance, str):
            x = mean + standard_deviation(variance(x, s, t), x) * draw(noise, i, x)
        elif schedule.sigma(s) > 0.0:
            x = mean + math.sqrt(VARIANCES[variance](schedule, s, t)) * draw(noise, i, x)
        else:
            x = mean
        yield Step(s, x, x0_hat)


def standard_deviation(variance: Array | float, x: Array) -> Array:
    """The square root of a variance: a scalar, one per sample, or one per element of ``x``."""
    if getattr(variance, "shape", ()) == x.shape:
        return namespace(x).sqrt(variance)
    return per_sample(np.sqrt(variance), x)
