r"""The variational bound on the likelihood of data, term by term, in nats.

.. math::
    :label: bound

    -\log p(x_0) \le
    \underbrace{\mathrm{KL}\!\left(q(x_T \mid x_0) \,\Vert\, p(x_T)\right)}_{L_T}
    + \sum_{t > s > 0} \mathbb E_q \underbrace{
      \mathrm{KL}\!\left(q(x_s \mid x_t, x_0) \,\Vert\, p(x_s \mid x_t)\right)}_{L_{s}}
    + \mathbb E_q \underbrace{\left[ -\log p(x_0 \mid x_{t_1}) \right]}_{L_0}

over neighboring times s < t of any grid of times, not only those of a chain: a coarser grid is a
model with fewer steps, and its bound is looser (Ho et al. 2020, section 2).
"""

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.objective.decoder import HALF_BIN, discretized_gaussian
from npdiff.objective.divergence import gaussian_kl
from npdiff.process import posterior_variance, transition
from npdiff.pullback import forward_only
from npdiff.schedules import Schedule, Times, VariancePreserving


def prior_variance(schedule: Schedule) -> float:
    """The variance of what sampling starts from: 1 where it is preserved, else sigma^2."""
    if isinstance(schedule, VariancePreserving):
        return 1.0
    return float(schedule.sigma(schedule.t_max) ** 2)


def prior_kl(schedule: Schedule, x_0: Array) -> Array:
    r"""L_T: what is still known of the data where sampling starts.

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
    here = xp.full_like(x_0, 2.0 * float(schedule.log_sigma(T)))
    there = xp.full_like(x_0, float(np.log(prior_variance(schedule))))
    with forward_only():
        kl, _ = gaussian_kl(xp.zeros_like(x_0), there, true_mean=mean, true_log_variance=here)
    return _summed(kl)


def step_kl(
    schedule: Schedule,
    x_0: Array,
    x0_hat: Array,
    s: Times,
    t: Times,
    log_variance: Array | Times | None = None,
) -> Array:
    r"""L_s: how far a reverse step is from the true one, which knows the data.

    .. math::
        :label: bound-step

        L_{s} = \frac12 \sum_d \left( \frac{\tilde\sigma^2_{s|t}}{\Sigma_d} - 1
        - \log \frac{\tilde\sigma^2_{s|t}}{\Sigma_d}
        + \frac{1}{\Sigma_d} \left( \frac{\alpha_s \sigma_{t|s}^2}{\sigma_t^2} \right)^{\!2}
          (x_{0,d} - \hat x_{0,d})^2 \right)

    The two means :eq:`posterior-mean` share the x_t they start from, so it cancels.

    Parameters
    ----------
    schedule : Schedule
    x_0, x0_hat : (N, ...) arrays, the data and their estimate at t
    s, t : times with 0 < s < t, scalars or (N,)
    log_variance : log Sigma of the step: an array of the shape of ``x_0``, or host numbers; that of
        the true step, if not given

    Returns
    -------
    (N,) array, nats

    Notes
    -----
    Ho et al. 2020, section 2; with a given variance section 3.2.
    """
    xp = namespace(x_0)
    true_log_variance = np.log(posterior_variance(schedule, s, t))
    true = xp.zeros_like(x_0) + per_sample(true_log_variance, x_0)
    if log_variance is None:
        own = true
    elif getattr(log_variance, "ndim", 0) < x_0.ndim:
        own = xp.zeros_like(x_0) + per_sample(log_variance, x_0)
    else:
        own = log_variance
    _, forward = transition(schedule, s, t)
    share = schedule.alpha(s) * forward / schedule.sigma(t) ** 2
    off = per_sample(share, x_0) * (x0_hat - x_0)
    with forward_only():
        kl, _ = gaussian_kl(off, own, true_mean=xp.zeros_like(x_0), true_log_variance=true)
    return _summed(kl)


def decoder_loss(
    x_0: Array, x0_hat: Array, log_variance: Array, half_bin: float = HALF_BIN
) -> Array:
    r"""L_0: the surprise at the data after the last step, whose mean is x0_hat.

    .. math::
        :label: bound-decoder

        L_0 = -\sum_d \log p(x_{0,d} \mid x_{t_1})

    for bytes by :eq:`discretized-gaussian`.

    Parameters
    ----------
    x_0 : (N, ...) array, bytes as numbers b / 127.5 - 1
    x0_hat : (N, ...) array, their estimate at the first time
    log_variance : array of that shape, the logarithm of the last step's variance
    half_bin : half the distance of neighboring values, which run from -1 to 1

    Returns
    -------
    (N,) array, nats

    Notes
    -----
    Ho et al. 2020, section 3.3.
    """
    with forward_only():
        log_p, _ = discretized_gaussian(x0_hat, log_variance, x=x_0, half_bin=half_bin)
    return -_summed(log_p)


def last_variance(schedule: Schedule, t: Times) -> np.ndarray:
    """The small variance of the last step, from t to the data, where the posterior's is 0.

    In its place stands that of the step from 2 t to t: beta-tilde_2 for beta-tilde_1 on a chain, as
    in the program of Ho et al. 2020. A last step from ``t_max`` has sigma^2.
    """
    t = schedule.time(t)
    there = t >= schedule.t_max
    s = np.where(there, 0.5 * schedule.t_max, t)
    between = posterior_variance(schedule, s, np.minimum(2.0 * s, schedule.t_max))
    return np.where(there, schedule.sigma(t) ** 2, between)


def ddpm_weight(schedule: Schedule, s: Times, t: Times, variance: Times) -> np.ndarray:
    r"""The weight of the error of eps in a term of the bound, for any variance of the step.

    .. math::
        :label: ddpm-weight

        L_{s} = \frac{\sigma_{t|s}^4}{2\, \Sigma\, \alpha_{t|s}^2\, \sigma_t^2}
        \lVert \epsilon - \hat\epsilon \rVert^2 + \text{const}

    For s = t - 1 this is DDPM's :math:`\beta_t^2 / (2 \sigma_t^2 (1 - \beta_t) (1 -
    \bar\alpha_t))`, whose sigma_t^2 is our Sigma.

    Parameters
    ----------
    schedule : Schedule
    s, t : times with s < t
    variance : Sigma, of the step

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
    r"""The weight of the error of eps in a term of the bound, with the variance of the true step.

    .. math::
        :label: discrete-weight

        L_{s} = \tfrac12 \left( e^{\lambda_s - \lambda_t} - 1 \right)
        \lVert \epsilon - \hat\epsilon \rVert^2

    As the steps become small this becomes :math:`-\tfrac12 \mathrm d\lambda`, and their sum the
    integral :eq:`weighted-loss` with w = 1.

    Notes
    -----
    Kingma et al. 2021, section 4.
    """
    return 0.5 * np.expm1(schedule.log_snr(s) - schedule.log_snr(t))


def bits_per_dim(nats: Array, dimensions: int) -> Array:
    r"""Nats of a sample as bits for each of its numbers.

    .. math::
        :label: bits-per-dim

        \text{bits/dim} = \frac{L}{D \log 2}
    """
    return nats / (dimensions * float(np.log(2.0)))


def _summed(each: Array) -> Array:
    return each.reshape(each.shape[0], -1).sum(axis=1)
