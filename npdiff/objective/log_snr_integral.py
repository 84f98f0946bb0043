r"""Every diffusion loss as a weighted integral over log-SNR.

.. math::
    :label: weighted-loss

    L_w = \frac12 \int_{\lambda_{\min}}^{\lambda_{\max}} w(\lambda)\,
    \mathbb E_{x_0, \epsilon} \lVert \epsilon - \hat\epsilon(x_\lambda, \lambda) \rVert^2\,
    \mathrm d \lambda

Of the schedule only its two ends remain. Two losses that were published with different schedules,
prediction types and time samplers are therefore the same loss if their w are equal (Kingma and
Gao 2023).
"""

import numpy as np

from npdiff.objective.loss_weights import ScheduleWeighting, duration, log_snr_rate, noise_weight
from npdiff.objective.time_samplers import TimeSampler, Uniform
from npdiff.objective.weightings import Weighting
from npdiff.schedules import Schedule, Times


def implied_weight(
    schedule: Schedule,
    weighting: Weighting | ScheduleWeighting,
    t: Times,
    time_sampler: TimeSampler | None = None,
) -> np.ndarray:
    r"""The weight w with which a loss equals :eq:`weighted-loss`.

    .. math::
        :label: implied-weight

        w(\lambda_t) = 2\, \omega_t\, p(\lambda_t),
        \qquad
        p(\lambda_t) = p(t) \left| \frac{\mathrm d \lambda_t}{\mathrm d t} \right|^{-1}

    where omega is the weight of the squared error of eps and p the density of the times. A time
    sampler therefore acts as a weighting; dividing the weighting by its density is importance
    sampling. A discrete schedule is treated as the continuous schedule that interpolates it.

    Parameters
    ----------
    schedule : Schedule
    weighting : the weight of the squared error of eps
    t : time, a scalar or (N,); t > 0
    time_sampler : the distribution of the times; uniform by default

    Returns
    -------
    float64 of the shape of ``t``

    Notes
    -----
    Kingma and Gao 2023, sections 2 and 3.
    """
    time_sampler = Uniform() if time_sampler is None else time_sampler
    omega = noise_weight(schedule, weighting, t)
    if not time_sampler.importance:
        omega = omega * time_sampler.density(schedule, t)
    return 2.0 * omega / (duration(schedule) * log_snr_rate(schedule, t))
