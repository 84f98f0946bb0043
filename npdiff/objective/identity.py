r"""One identity for all losses: each is an integral over log-SNR with a weight of its own.

.. math::
    :label: weighted-loss

    L_w = \frac12 \int_{\lambda_{\min}}^{\lambda_{\max}} w(\lambda)\,
    \mathbb E_{x_0, \epsilon} \lVert \epsilon - \hat\epsilon(x_\lambda, \lambda) \rVert^2\,
    \mathrm d \lambda

Apart from its two ends the schedule has dropped out of it: two losses that were published for
different schedules, parameterizations and draws of time are the same loss where their w are (Kingma
and Gao 2023).
"""

import numpy as np

from npdiff.objective.time_samplers import TimeSampler, Uniform
from npdiff.objective.units import Scheduled, duration, noise_weight, rate
from npdiff.objective.weightings import Weighting
from npdiff.schedules import Schedule, Times


def implied_weight(
    schedule: Schedule,
    weighting: Weighting | Scheduled,
    t: Times,
    time_sampler: TimeSampler | None = None,
) -> np.ndarray:
    r"""The w of :eq:`weighted-loss` that a loss comes to.

    .. math::
        :label: implied-weight

        w(\lambda_t) = 2\, \omega_t\, p(\lambda_t),
        \qquad
        p(\lambda_t) = p(t) \left| \frac{\mathrm d \lambda_t}{\mathrm d t} \right|^{-1}

    where omega is the weight of the squared error of eps and p the density of the times drawn: a
    draw of times is a weighting, and a weighting that is divided by it is importance sampling. A
    chain is read as the continuous schedule that it interpolates.

    Parameters
    ----------
    schedule : Schedule
    weighting : of the squared error of eps
    t : time, a scalar or (N,); t > 0
    time_sampler : how times are drawn; uniform, if not given

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
    return 2.0 * omega / (duration(schedule) * rate(schedule, t))
