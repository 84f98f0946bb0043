r"""Ancestral sampling, the reverse chain of DDPM, over any grid of times."""

from itertools import pairwise

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.denoiser import Denoise
from npdiff.process import posterior_mean
from npdiff.samplers.step import Noise, Step, Steps, draw
from npdiff.schedules import Schedule
from npdiff.variances import Variance, variance_rule


def ddpm(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    variance: str | Variance = "small",
    noise: Noise | None = None,
) -> Steps:
    r"""Ancestral sampling, the reverse chain of DDPM: fresh noise in every step.

    .. math::
        :label: ancestral-step

        x_{t-1} = \frac{1}{\sqrt{1 - \beta_t}} \left( x_t
        - \frac{\beta_t}{\sqrt{1 - \bar\alpha_t}}\, \epsilon_\theta(x_t, t) \right) + \sigma_t z,
        \qquad z \sim \mathcal N(0, I)

    is DDPM's step in its own symbols. It is the posterior mean :eq:`posterior-mean` with the
    estimate of x_0 in the place of x_0, plus noise; in that form, which is the one below, it goes
    from any t to any s < t. In the equation sigma_t is the standard deviation of the step's noise:

    - ``"small"``: the posterior variance :eq:`posterior-variance`, DDPM's beta-tilde_t, which is
      right for data that are a point;
    - ``"large"``: the variance of the forward step :eq:`transition`, DDPM's beta_t, which is right
      for data that are N(0, I);
    - or what a function says: the optimal variance of :mod:`npdiff.variances`, a learned one.

    With a name no noise is added on arriving at sigma_s = 0, the data. A function is asked there
    too: the optimal variance is then what the last estimate leaves open of the data, and with it
    the samples have the variance of the data.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    variance : ``"small"``, ``"large"``, or a function of (x_t, s, t)
    noise : from the index of a step to standard normal noise

    Yields
    ------
    Step

    Raises
    ------
    InputError
        If the variance's name is unknown or there is no noise.

    Notes
    -----
    Ho et al. 2020, section 3.2 and Algorithm 2.
    """
    if isinstance(variance, str):
        variance_rule(variance)
    for i, (t, s) in enumerate(pairwise(timesteps)):
        x0_hat, _ = denoise(x, t)
        mean = posterior_mean(schedule, x0_hat, x, s, t)
        if not isinstance(variance, str):
            x = mean + deviation(variance(x, float(s), float(t)), x) * draw(noise, i, x)
        elif schedule.sigma(s) > 0.0:
            x = mean + deviation(variance_rule(variance)(schedule, s, t), x) * draw(noise, i, x)
        else:
            x = mean
        yield Step(float(s), x, x0_hat)


def deviation(variance: Array | float, x: Array) -> Array:
    """The standard deviation of a variance, ready to multiply ``x``."""
    if getattr(variance, "shape", ()) == x.shape:
        return namespace(x).sqrt(variance)
    return per_sample(np.sqrt(variance), x)
