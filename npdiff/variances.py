r"""How much noise a reverse step adds: DDPM's two choices, what lies between them, and the best.

The step from t to s < t is N(mu, variance), mu being the posterior mean :eq:`posterior-mean` at an
estimate of x_0. Where that estimate is exact, the variance decides alone how far the samples of a
short chain are from the data.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from npdiff.backend import Array, namespace, per_sample, to_host
from npdiff.errors import InputError
from npdiff.process import marginal, posterior_mean, posterior_variance, transition
from npdiff.random import Key
from npdiff.schedules import Schedule, Times

#: From (x_t, s, t) to the variance of the step to s: one number, a host array with one a sample, or
#: an array of the shape of x_t.
Variance = Callable[[Array, float, float], "Array | float"]

#: From a schedule and times s < t to a variance that they settle.
Rule = Callable[[Schedule, Times, Times], np.ndarray]

#: From the time t to the spread of the data that are left to guess: :eq:`spread`.
Spread = Callable[[float], float]


def small(schedule: Schedule, s: Times, t: Times) -> np.ndarray:
    """The posterior's variance :eq:`posterior-variance`, DDPM's beta-tilde: right for a point.

    It is 0 where s is the data.
    """
    return posterior_variance(schedule, s, t)


def large(schedule: Schedule, s: Times, t: Times) -> np.ndarray:
    """The variance of the forward step :eq:`transition`, DDPM's beta: right for N(0, I) data."""
    return transition(schedule, s, t)[1]


def interpolated(schedule: Schedule, s: Times, t: Times, v: Array) -> Array:
    r"""A variance between the small and the large, which a network can learn.

    .. math::
        :label: interpolated-variance

        \Sigma = \exp\!\left(v \log \sigma^2_{t|s} + (1 - v) \log \tilde\sigma^2_{s|t}\right)
        = \sigma^2_{t|s} \left( \frac{\sigma_s^2}{\sigma_t^2} \right)^{1 - v}

    The second form has no logarithm of 0. Where s is the data it gives the limit: 0 for v < 1, the
    large variance for v = 1, infinity above.

    Parameters
    ----------
    schedule : Schedule
    s, t : times, scalars or (N,)
    v : (N, ...) array from 0, the small one, to 1, the large one. The paper's network answers with
        2 v - 1. Nothing keeps it to that range.

    Returns
    -------
    (N, ...) array beside ``v``

    Notes
    -----
    Nichol and Dhariwal 2021, Eq. 15.
    """
    ratio = np.exp(2.0 * (schedule.log_sigma(s) - schedule.log_sigma(t)))
    return per_sample(large(schedule, s, t), v) * per_sample(ratio, v) ** (1.0 - v)


def optimal(schedule: Schedule, s: Times, t: Times, spread: Times) -> np.ndarray:
    r"""The best variance that is one number: that of q(x_s | x_t), in the mean over x_t.

    .. math::
        :label: optimal-variance

        \sigma^{2\star}_{s|t} = \tilde\sigma^2_{s|t}
        + \left( \frac{\alpha_s\, \sigma^2_{t|s}}{\sigma_t^2} \right)^{\!2} c_t

    with the spread c_t of :eq:`spread`: what x_t leaves open of x_0 adds its variance to the
    posterior's, through the coefficient of x_0 in :eq:`posterior-mean`. On isotropic Gaussian
    data ancestral sampling is then exact for any number of steps. At s = 0 it is c_t itself.

    Parameters
    ----------
    schedule : Schedule
    s, t : times, scalars or (N,)
    spread : c_t, a scalar or (N,)

    Notes
    -----
    Bao et al. 2022 (Analytic-DPM), section 3. There it stands in terms of the score, as in
    :eq:`spread-from-noise`.
    """
    variance = posterior_variance(schedule, s, t)
    one = np.ones(variance.shape or 1)
    of_x_0 = posterior_mean(schedule, one, np.zeros_like(one), s, t).reshape(variance.shape)
    return variance + of_x_0**2 * spread


def optimal_given(schedule: Schedule, spread: Spread) -> Variance:
    """:func:`optimal` as a sampler asks for it.

    Parameters
    ----------
    schedule : Schedule
    spread : from t to the spread of the data: of :mod:`npdiff.exact`, or from
        :func:`estimated_spread`
    """

    def variance(_x: Array, s: float, t: float) -> np.ndarray:
        return optimal(schedule, s, t, spread(t))

    return variance


def spread_from_error(x_0: Array, x0_hat: Array) -> float:
    r"""The spread :eq:`spread` of the data given x_t, estimated from a denoiser's errors.

    .. math::
        :label: spread-from-error

        c_t \approx \frac{1}{N D} \sum_n
        \left\lVert x_{0, n} - \hat x_0(x_{t, n}, t) \right\rVert^2

    If the denoiser is not exact this is larger than the spread, and still right: with it the step's
    variance is the best for this denoiser.

    Parameters
    ----------
    x_0 : (N, ...) data
    x0_hat : what the denoiser makes of their x_t at one time

    Notes
    -----
    Bao et al. 2022 (Analytic-DPM), section 3.
    """
    return float(to_host(((x_0 - x0_hat) ** 2).mean()))


def spread_from_noise(schedule: Schedule, eps_hat: Array, t: float) -> float:
    r"""The spread of the data given x_t, estimated from the size of an exact denoiser's noise.

    .. math::
        :label: spread-from-noise

        c_t = \frac{\sigma_t^2}{\alpha_t^2} \left(
        1 - \frac1D\, \mathbb E \left\lVert \mathbb E[\epsilon \mid x_t] \right\rVert^2 \right)

    because Var[eps | x_t] = (alpha_t / sigma_t)^2 Var[x_0 | x_t], and the second moment of the
    noise, which is 1, is that of its conditional mean plus the mean of its conditional variance. An
    estimate below 0 is raised to 0.

    Parameters
    ----------
    schedule : Schedule
    eps_hat : (N, ...) array, the denoiser's answers to draws of x_t
    t : the time, with 0 < t and alpha_t > 0

    Raises
    ------
    InputError
        If x_t holds no signal: its noise then says nothing of the data.

    Notes
    -----
    Bao et al. 2022 (Analytic-DPM), section 3.
    """
    ratio = float(np.exp(-schedule.log_snr(t)))
    if not np.isfinite(ratio):
        raise InputError(f"at t = {t:g} there is no signal: estimate the spread from the error")
    return float(np.maximum(0.0, ratio * (1.0 - float(to_host((eps_hat**2).mean())))))


def estimated_spread(
    denoise: Callable[[Array, float], tuple[Array, Array]],
    schedule: Schedule,
    x_0: Array,
    timesteps: Sequence[float] | np.ndarray,
    key: Key,
) -> Spread:
    """The spread :eq:`spread` at the times of a grid, from a denoiser's errors on data.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x_0 : (N, ...) data
    timesteps : of the grid to sample on; its 0 is passed over
    key : of the noise, with N samples; each time has noise of its own

    Returns
    -------
    Spread
        Known at these times; elsewhere it raises an InputError.
    """
    xp, known = namespace(x_0), {}
    for i, t in enumerate(timesteps):
        if t > 0.0:
            eps = replace(key, step=i).normal(x_0.shape[1:], xp).astype(x_0.dtype)
            x0_hat, _ = denoise(marginal(schedule, x_0, eps, t), t)
            known[float(t)] = spread_from_error(x_0, x0_hat)

    def spread(t: float) -> float:
        if float(t) not in known:
            raise InputError(f"the spread was not estimated at t = {t:g}: estimate it on the grid")
        return known[float(t)]

    return spread


#: The variances that need nothing but the times, by name.
VARIANCES: dict[str, Rule] = {
    "small": small,
    "large": large,
}


def rule_named(name: str) -> Rule:
    """The variance of that name.

    Raises
    ------
    InputError
        If it is none.
    """
    if name not in VARIANCES:
        raise InputError(f"unknown variance {name!r}: choose one of {', '.join(VARIANCES)}")
    return VARIANCES[name]
