r"""Reverse variances: DDPM's two choices, the interpolation between them, and the optimal one.

The step from t to s < t is N(mu, variance), mu being the posterior mean :eq:`posterior-mean` at an
estimate of x_0. If that estimate is exact, the variance alone determines how far the samples of few
steps are from the data.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from npdiff.backend import Array, namespace, per_sample, to_host
from npdiff.errors import InputError
from npdiff.process import marginal, posterior_mean, posterior_variance, transition
from npdiff.random import Key
from npdiff.registry import Registry
from npdiff.schedules import Schedule, Times
from npdiff.schedules.base import Values, float_if_scalar

#: Maps (x_t, s, t) to the variance of the step to s: a scalar, a host array with one entry per
#: sample, or an array of the shape of x_t.
Variance = Callable[[Array, float, float], "Array | float"]

#: Maps a schedule and times s < t to a variance that depends on nothing else.
VarianceRule = Callable[[Schedule, Times, Times], Values]

#: Maps t to the mean variance of x_0 given x_t, :eq:`mean-posterior-variance`.
MeanPosteriorVariance = Callable[[float], float]


def small(schedule: Schedule, s: Times, t: Times) -> Values:
    """The posterior variance :eq:`posterior-variance`, DDPM's beta-tilde: exact for a single point.

    It is 0 at s = 0.
    """
    return posterior_variance(schedule, s, t)


def large(schedule: Schedule, s: Times, t: Times) -> Values:
    """The variance of the forward step :eq:`transition`, DDPM's beta: exact for N(0, I) data."""
    return transition(schedule, s, t)[1]


def interpolated(schedule: Schedule, s: Times, t: Times, v: Array) -> Array:
    r"""The log-linear interpolation between the small and the large variance, which can be learned.

    .. math::
        :label: interpolated-variance

        \Sigma = \exp\!\left(v \log \sigma^2_{t|s} + (1 - v) \log \tilde\sigma^2_{s|t}\right)
        = \sigma^2_{t|s} \left( \frac{\sigma_s^2}{\sigma_t^2} \right)^{1 - v}

    The second form avoids the logarithm of 0. At s = 0 it gives the limit: 0 for v < 1, the large
    variance for v = 1, infinity above.

    Parameters
    ----------
    schedule : Schedule
    s, t : times, scalars or (N,)
    v : (N, ...) array from 0, the small variance, to 1, the large one, not clipped to that range.
        The paper's network predicts 2 v - 1.

    Returns
    -------
    (N, ...) array on the backend of ``v``

    Notes
    -----
    Nichol and Dhariwal 2021, Eq. 15.
    """
    ratio = np.exp(2.0 * (schedule.log_sigma(s) - schedule.log_sigma(t)))
    return per_sample(large(schedule, s, t), v) * per_sample(ratio, v) ** (1.0 - v)


def optimal(schedule: Schedule, s: Times, t: Times, mean_posterior_variance: Times) -> Values:
    r"""The optimal isotropic variance: that of q(x_s | x_t), averaged over x_t and elements.

    .. math::
        :label: optimal-variance

        \sigma^{2\star}_{s|t} = \tilde\sigma^2_{s|t}
        + \left( \frac{\alpha_s\, \sigma^2_{t|s}}{\sigma_t^2} \right)^{\!2} c_t

    with the mean variance c_t of x_0 given x_t, :eq:`mean-posterior-variance`, which adds to the
    posterior variance through the coefficient of x_0 in :eq:`posterior-mean`. On isotropic Gaussian
    data ancestral sampling is then exact for any number of steps. At s = 0 it equals c_t.

    Parameters
    ----------
    schedule : Schedule
    s, t : times, scalars or (N,)
    mean_posterior_variance : c_t, a scalar or (N,)

    Notes
    -----
    Bao et al. 2022 (Analytic-DPM), section 3, in terms of the score as in
    :eq:`mean-posterior-variance-from-noise`.
    """
    variance = posterior_variance(schedule, s, t)
    one = np.ones(np.shape(variance) or 1)
    weight_x_0 = posterior_mean(schedule, one, np.zeros_like(one), s, t)
    weight_x_0 = weight_x_0.reshape(np.shape(variance))
    return float_if_scalar(variance + weight_x_0**2 * mean_posterior_variance)


def optimal_variance(
    schedule: Schedule, mean_posterior_variance: MeanPosteriorVariance
) -> Variance:
    """:func:`optimal` as the ``variance`` option of :func:`~npdiff.samplers.ddpm`.

    Parameters
    ----------
    schedule : Schedule
    mean_posterior_variance : maps t to c_t: from :mod:`npdiff.exact`, or from
        :func:`estimate_mean_posterior_variance`
    """

    def variance(_x: Array, s: float, t: float) -> float:
        return optimal(schedule, s, t, mean_posterior_variance(t))

    return variance


def mean_posterior_variance_from_error(x_0: Array, x0_hat: Array) -> float:
    r"""The mean variance of x_0 given x_t, :eq:`mean-posterior-variance`, from a denoiser's errors.

    .. math::
        :label: mean-posterior-variance-from-error

        c_t \approx \frac{1}{N D} \sum_n
        \left\lVert x_{0, n} - \hat x_0(x_{t, n}, t) \right\rVert^2

    For an inexact denoiser this is larger than c_t, and still the right value: the step's variance
    is then optimal for this denoiser.

    Parameters
    ----------
    x_0 : (N, ...) data
    x0_hat : the denoiser's estimates at samples of x_t, all at one time

    Notes
    -----
    Bao et al. 2022 (Analytic-DPM), section 3.
    """
    return float(to_host(((x_0 - x0_hat) ** 2).mean()))


def mean_posterior_variance_from_noise(schedule: Schedule, eps_hat: Array, t: float) -> float:
    r"""The mean variance of x_0 given x_t, estimated from the size of an exact denoiser's eps_hat.

    .. math::
        :label: mean-posterior-variance-from-noise

        c_t = \frac{\sigma_t^2}{\alpha_t^2} \left(
        1 - \frac1D\, \mathbb E \left\lVert \mathbb E[\epsilon \mid x_t] \right\rVert^2 \right)

    because Var[eps | x_t] = (alpha_t / sigma_t)^2 Var[x_0 | x_t], and the second moment of the
    noise, which is 1, is that of its conditional mean plus the mean of its conditional variance. An
    estimate below 0 is raised to 0.

    Parameters
    ----------
    schedule : Schedule
    eps_hat : (N, ...) array, the denoiser's estimates at samples of x_t
    t : the time, with t > 0 and alpha_t > 0

    Raises
    ------
    InputError
        If alpha_t = 0: x_t then holds no information about the data.

    Notes
    -----
    Bao et al. 2022 (Analytic-DPM), section 3.
    """
    ratio = float(np.exp(-schedule.log_snr(t)))
    if not np.isfinite(ratio):
        raise InputError(
            f"alpha = 0 at t = {t:g}: use mean_posterior_variance_from_error there, which needs x_0"
        )
    return float(np.maximum(0.0, ratio * (1.0 - float(to_host((eps_hat**2).mean())))))


def estimate_mean_posterior_variance(
    denoise: Callable[[Array, float], tuple[Array, Array]],
    schedule: Schedule,
    x_0: Array,
    timesteps: Sequence[float] | np.ndarray,
    key: Key,
) -> MeanPosteriorVariance:
    """:eq:`mean-posterior-variance` at the sampling timesteps, from a denoiser's errors on data.

    Parameters
    ----------
    denoise : maps (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x_0 : (N, ...) data
    timesteps : the times to sample with; a 0 is skipped
    key : random key of the noise, with N samples; each time has its own noise

    Returns
    -------
    MeanPosteriorVariance
        Defined at these times; it raises an InputError at others.
    """
    xp, known = namespace(x_0), {}
    for i, t in enumerate(timesteps):
        if t > 0.0:
            eps = replace(key, step=i).normal(x_0.shape[1:], xp).astype(x_0.dtype)
            x0_hat, _ = denoise(marginal(schedule, x_0, eps, t), t)
            known[float(t)] = mean_posterior_variance_from_error(x_0, x0_hat)

    def mean_posterior_variance(t: float) -> float:
        if float(t) not in known:
            raise InputError(
                f"the mean posterior variance was not estimated at t = {t:g}: "
                "pass the sampler's timesteps to estimate_mean_posterior_variance"
            )
        return known[float(t)]

    return mean_posterior_variance


#: Variances that depend only on the schedule and the times, by name.
VARIANCES: Registry[VarianceRule, VarianceRule] = Registry(
    "variance",
    "a function of (schedule, s, t)",
    callable,
    {"small": small, "large": large},
    common=("schedule", "s", "t"),
)
