r"""The forward process q: its marginals, its transitions and the posterior of an earlier state.

Everything is Gaussian with isotropic covariance, for any two times s < t of any schedule. DDPM's
formulas are the case s = t - 1 of a discrete schedule. Coefficients of scalar times are Python
floats, those of arrays of times float64 arrays.
"""

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.errors import InputError
from npdiff.schedules import Schedule, Times
from npdiff.schedules.base import Values, float_if_scalar


def marginal(schedule: Schedule, x_0: Array, eps: Array, t: Times) -> Array:
    r"""A sample of q(x_t | x_0), given its noise.

    .. math::
        :label: marginal

        x_t = \alpha_t x_0 + \sigma_t \epsilon, \qquad \epsilon \sim \mathcal N(0, I)

    In DDPM's symbols :math:`x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon`.

    Parameters
    ----------
    schedule : Schedule
    x_0, eps : (N, ...) arrays of one shape
    t : time, a scalar or (N,)

    Returns
    -------
    (N, ...) array of the dtype of ``x_0``

    Notes
    -----
    Ho et al. 2020, Eq. 4.
    """
    return per_sample(schedule.alpha(t), x_0) * x_0 + per_sample(schedule.sigma(t), x_0) * eps


def transition(schedule: Schedule, s: Times, t: Times) -> tuple[Values, Values]:
    r"""The transition kernel q(x_t | x_s): the factor of x_s and the variance, for s < t.

    .. math::
        :label: transition

        q(x_t \mid x_s) = \mathcal N\!\left(\alpha_{t|s}\, x_s,\; \sigma^2_{t|s} I\right),
        \qquad \alpha_{t|s} = \frac{\alpha_t}{\alpha_s},
        \qquad \sigma^2_{t|s} = \sigma_t^2 - \alpha_{t|s}^2 \sigma_s^2

    For s = t - 1 in DDPM they are :math:`\sqrt{1 - \beta_t}` and :math:`\beta_t`. The variance is
    evaluated as :math:`\sigma_t^2 (1 - e^{\lambda_t - \lambda_s})`, without cancellation.

    Returns
    -------
    alpha_ts, variance : of the common shape of ``s`` and ``t``

    Notes
    -----
    Kingma et al. 2021 (VDM), section 3 and appendix A.
    """
    alpha_ts = np.exp(schedule.log_alpha(t) - schedule.log_alpha(s))
    variance = -np.expm1(_log_snr_ratio(schedule, s, t)) * schedule.sigma(t) ** 2
    return float_if_scalar(alpha_ts), float_if_scalar(variance)


def posterior_mean(schedule: Schedule, x_0: Array, x_t: Array, s: Times, t: Times) -> Array:
    r"""The mean of q(x_s | x_t, x_0), for s < t.

    .. math::
        :label: posterior-mean

        \tilde\mu_{s}(x_t, x_0)
        = \frac{\alpha_{t|s}\, \sigma_s^2}{\sigma_t^2}\, x_t
        + \frac{\alpha_s\, \sigma^2_{t|s}}{\sigma_t^2}\, x_0

    DDPM's mu-tilde is the case s = t - 1. A sampler passes its estimate x0_hat as ``x_0``.

    Parameters
    ----------
    schedule : Schedule
    x_0, x_t : (N, ...) arrays
    s, t : times, scalars or (N,)

    Returns
    -------
    (N, ...) array

    Notes
    -----
    Ho et al. 2020, Eq. 7; for any two times VDM, appendix A.
    """
    # σ²_{t|s} / σ_t² = 1 - SNR_t / SNR_s
    weight_x_0 = schedule.alpha(s) * -np.expm1(_log_snr_ratio(schedule, s, t))
    weight_x_t = np.exp(
        schedule.log_alpha(t) - schedule.log_alpha(s)
        + 2.0 * (schedule.log_sigma(s) - schedule.log_sigma(t))
    )  # fmt: skip
    return per_sample(weight_x_t, x_t) * x_t + per_sample(weight_x_0, x_t) * x_0


def posterior_variance(schedule: Schedule, s: Times, t: Times) -> Values:
    r"""The variance of q(x_s | x_t, x_0), for s < t.

    .. math::
        :label: posterior-variance

        \tilde\sigma^2_{s|t} = \sigma^2_{t|s}\, \frac{\sigma_s^2}{\sigma_t^2}

    DDPM's beta-tilde is the case s = t - 1. It is 0 at s = 0.

    Returns
    -------
    float or array of the common shape of ``s`` and ``t``

    Notes
    -----
    Ho et al. 2020, Eq. 7; for any two times VDM, appendix A.
    """
    return float_if_scalar(-np.expm1(_log_snr_ratio(schedule, s, t)) * schedule.sigma(s) ** 2)


def _log_snr_ratio(schedule: Schedule, s: Times, t: Times) -> Values:
    """log(SNR_t / SNR_s); -inf at s = 0."""
    if not (np.asarray(s) < np.asarray(t)).all():
        raise InputError(f"s must be earlier than t, got s = {s} and t = {t}")
    return schedule.log_snr(t) - schedule.log_snr(s)
