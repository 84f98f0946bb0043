r"""Ancestral sampling, the reverse chain of DDPM, over any grid of times."""

from itertools import pairwise

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.process import posterior_mean, posterior_variance, transition
from npdiff.samplers.step import Noise, Step, Steps, draw
from npdiff.schedules import Schedule

VARIANCES = ("small", "large")


def ddpm(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    times: np.ndarray,
    *,
    variance: str = "small",
    noise: Noise | None = None,
) -> Steps:
    r"""Ancestral sampling.

    .. math::
        :label: ancestral-step

        x_{t-1} = \frac{1}{\sqrt{1 - \beta_t}} \left( x_t
        - \frac{\beta_t}{\sqrt{1 - \bar\alpha_t}}\, \epsilon_\theta(x_t, t) \right) + \sigma_t z,
        \qquad z \sim \mathcal N(0, I)

    is DDPM's step in its own symbols. It is the posterior mean :eq:`posterior-mean` with the
    estimate of x_0 in the place of x_0, plus noise; in that form, which is the one below, it goes
    from any t to any s < t. In the equation sigma_t is the standard deviation of the step's noise,
    one of two:

    - ``"small"``: the posterior variance :eq:`posterior-variance`, DDPM's beta-tilde_t, which is
      right for data that are a point;
    - ``"large"``: the variance of the forward step :eq:`transition`, DDPM's beta_t, which is right
      for data that are N(0, I).

    No noise is added on arriving at sigma_s = 0, the data.

    Parameters
    ----------
    denoise : from (x, t) to (x_0_hat, eps_hat)
    schedule : Schedule
    x : (N, ...) array, the state at ``times[0]``
    times : descending host array
    variance : ``"small"`` or ``"large"``
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
    if variance not in VARIANCES:
        raise InputError(f"unknown variance {variance!r}: choose one of {', '.join(VARIANCES)}")
    for i, (t, s) in enumerate(pairwise(times)):
        x_0, _ = denoise(x, t)
        x = posterior_mean(schedule, x_0, x, s, t)
        if schedule.sigma(s) > 0.0:
            small = posterior_variance(schedule, s, t)
            step_variance = small if variance == "small" else transition(schedule, s, t)[1]
            x = x + per_sample(np.sqrt(step_variance), x) * draw(noise, i, x)
        yield Step(float(s), x, x_0)
