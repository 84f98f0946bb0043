r"""The variational bound on the negative log-likelihood of data, term by term, in nats.

.. math::
    :label: bound

    -\log p(x_0) \le
    \underbrace{\mathrm{KL}\!\left(q(x_T \mid x_0) \,\Vert\, p(x_T)\right)}_{L_T}
    + \sum_{t > s > 0} \mathbb E_q \underbrace{
      \mathrm{KL}\!\left(q(x_s \mid x_t, x_0) \,\Vert\, p(x_s \mid x_t)\right)}_{L_{s}}
    + \mathbb E_q \underbrace{\left[ -\log p(x_0 \mid x_{t_1}) \right]}_{L_0}

over neighboring timesteps s < t. Any timesteps are allowed, on discrete and continuous schedules;
fewer of them define a model with fewer steps, whose bound is looser (Ho et al. 2020, section 2).
"""

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.objective.decoder import HALF_BIN, discretized_gaussian
from npdiff.objective.divergence import gaussian_kl
from npdiff.process import posterior_variance, transition
from npdiff.pullback import forward_only
from npdiff.schedules import Schedule, Times, VariancePreserving


def prior_variance(schedule: Schedule) -> float:
    """The variance of the prior p(x_T): 1 if the schedule preserves variance, else sigma_T^2."""
    if isinstance(schedule, VariancePreserving):
        return 1.0
    return float(schedule.sigma(schedule.t_max) ** 2)


def prior_kl(schedule: Schedule, x_0: Array) -> Array:
    r"""L_T: the divergence of q(x_T | x_0) from the prior that sampling starts from.

    .. math::
        :label: bound-prior

        L_T = \frac12 \sum_{d} \left( \frac{\sigma_T^2 + \alpha_T^2 x_{0,d}^2}{\pi^2} - 1
        - \log \frac{\sigma_T^2}{\pi^2} \right),
        \qquad p(x_T) = \mathcal N(0, \pi^2 I)

    Parameters
    ----------
    schedule : Schedule
    x_0 : (N, ...) array

    Returns
    -------
    (N,) array, nats

    Notes
    -----
    Ho et al. 2020, section 2.
    """
    xp, T = namespace(x_0), schedule.t_max
    mean = per_sample(schedule.alpha(T), x_0) * x_0
    log_variance = xp.full_like(x_0, 2.0 * float(schedule.log_sigma(T)))
    prior_log_variance = xp.full_like(x_0, float(np.log(prior_variance(schedule))))
    with forward_only():
        kl, _ = gaussian_kl(
            xp.zeros_like(x_0), prior_log_variance, true_mean=mean, true_log_variance=log_variance
        )
    return _sum_per_sample(kl)


def step_kl(
    schedule: Schedule,
    x_0: Array,
    x0_hat: Array,
    s: Times,
    t: Times,
    log_variance: Array | Times | None = None,
) -> Array:
    r"""L_s: the divergence of the posterior q(x_s | x_t, x_0) from the reverse step of the model.

    .. math::
        :label: bound-step

        L_{s} = \frac12 \sum_d \left( \frac{\tilde\sigma^2_{s|t}}{\Sigma_d} - 1
        - \log \frac{\tilde\sigma^2_{s|t}}{\Sigma_d}
        + \frac{1}{\Sigma_d} \left( \frac{\alpha_s \sigma_{t|s}^2}{\sigma_t^2} \right)^{\!2}
          (x_{0,d} - \hat x_{0,d})^2 \right)

    Both means :eq:`posterior-mean` contain the same multiple of x_t, so it cancels.

    Parameters
    ----------
    schedule : Schedule
    x_0, x0_hat : (N, ...) arrays, the data and their estimate at t
    s, t : times with 0 < s < t, scalars or (N,)
    log_variance : log Sigma of the step: an array of the shape of ``x_0``, or a scalar or (N,) on
        the host; by default that of the posterior

    Returns
    -------
    (N,) array, nats

    Notes
    -----
    Ho et al. 2020, section 2; with a given variance section 3.2.
    """
    xp = namespace(x_0)
    true_log_variance = np.log(posterior_variance(schedule, s, t))
    posterior = xp.zeros_like(x_0) + per_sample(true_log_variance, x_0)
    if log_variance is None:
        model = posterior
    elif getattr(log_variance, "ndim", 0) < x_0.ndim:
        model = xp.zeros_like(x_0) + per_sample(log_variance, x_0)
    else:
        model = log_variance
    _, forward = transition(schedule, s, t)
    coefficient = schedule.alpha(s) * forward / schedule.sigma(t) ** 2
    error = per_sample(coefficient, x_0) * (x0_hat - x_0)
    with forward_only():
        kl, _ = gaussian_kl(error, model, true_mean=xp.zeros_like(x_0), true_log_variance=posterior)
    return _sum_per_sample(kl)


def decoder_loss(
    x_0: Array, x0_hat: Array, log_variance: Array, half_bin: float = HALF_BIN
) -> Array:
    r"""L_0: the negative log-probability of the data under the last step, whose mean is x0_hat.

    .. math::
        :label: bound-decoder

        L_0 = -\sum_d \log p(x_{0,d} \mid x_{t_1})

    where each value is a byte, by :eq:`discretized-gaussian`.

    Parameters
    ----------
    x_0 : (N, ...) array, bytes b scaled to b / 127.5 - 1
    x0_hat : (N, ...) array, the estimate of the data at the smallest timestep
    log_variance : array of that shape, the logarithm of the last step's variance
    half_bin : half the distance between neighboring values, which run from -1 to 1

    Returns
    -------
    (N,) array, nats

    Notes
    -----
    Ho et al. 2020, section 3.3.
    """
    with forward_only():
        log_p, _ = discretized_gaussian(x0_hat, log_variance, x=x_0, half_bin=half_bin)
    return -_sum_per_sample(log_p)


def last_step_variance(schedule: Schedule, t: Times) -> np.ndarray:
    """The small variance of the last step, from t to the data, where the posterior variance is 0.

    It is replaced by that of the step from 2 t to t: on a discrete schedule beta-tilde_2 stands in
    for beta-tilde_1, as in the program of Ho et al. 2020. A last step from ``t_max`` has sigma^2.
    """
    t = schedule.time(t)
    from_end = t >= schedule.t_max
    s = np.where(from_end, 0.5 * schedule.t_max, t)
    variance = posterior_variance(schedule, s, np.minimum(2.0 * s, schedule.t_max))
    return np.where(from_end, schedule.sigma(t) ** 2, variance)


def ddpm_weight(schedule: Schedule, s: Times, t: Times, variance: Times) -> np.ndarray:
    r"""The weight of the squared error of eps in a term of the bound, for any reverse variance.

    .. math::
        :label: ddpm-weight

        L_{s} = \frac{\sigma_{t|s}^4}{2\, \Sigma\, \alpha_{t|s}^2\, \sigma_t^2}
        \lVert \epsilon - \hat\epsilon \rVert^2 + \text{const}

    For s = t - 1 this is DDPM's :math:`\beta_t^2 / (2 \sigma_t^2 (1 - \beta_t) (1 -
    \bar\alpha_t))`, whose sigma_t^2 is Sigma here.

    Parameters
    ----------
    schedule : Schedule
    s, t : times with s < t
    variance : Sigma of the step

    Returns
    -------
    float64, of the common shape of ``s`` and ``t``

    Notes
    -----
    Ho et al. 2020, section 3.2.
    """
    factor, forward = transition(schedule, s, t)
    return forward**2 / (2.0 * variance * factor**2 * schedule.sigma(t) ** 2)


def discrete_weight(schedule: Schedule, s: Times, t: Times) -> np.ndarray:
    r"""The weight of the squared error of eps in a term of the bound, with the posterior variance.

    .. math::
        :label: discrete-weight

        L_{s} = \tfrac12 \left( e^{\lambda_s - \lambda_t} - 1 \right)
        \lVert \epsilon - \hat\epsilon \rVert^2

    For small steps this approaches :math:`-\tfrac12 \mathrm d\lambda`, and the sum approaches the
    integral :eq:`weighted-loss` with w = 1.

    Notes
    -----
    Kingma et al. 2021, section 4.
    """
    return 0.5 * np.expm1(schedule.log_snr(s) - schedule.log_snr(t))


def bits_per_dim(nats: Array, dimensions: int) -> Array:
    r"""Nats per sample converted to bits per dimension.

    .. math::
        :label: bits-per-dim

        \text{bits/dim} = \frac{L}{D \log 2}
    """
    return nats / (dimensions * float(np.log(2.0)))


def _sum_per_sample(x: Array) -> Array:
    return x.reshape(x.shape[0], -1).sum(axis=1)
