"""Decoders: the probability of a pixel's byte given the end of the reverse process."""

import math

from npdiff.backend import Array, log_ndtr, namespace, per_sample
from npdiff.errors import InputError
from npdiff.pullback import Cotangents, Traced, differentiable
from npdiff.schedules import Schedule, Times

#: Half the distance between neighboring bytes b / 127.5 - 1.
HALF_BIN = 1.0 / 255.0

_LOG_ROOT_2_PI = 0.5 * math.log(2.0 * math.pi)
#: Bins narrower than this, in standard deviations and relative to their distance from the mean, are
#: integrated by a Taylor series; for wider bins the logarithms of the two tails differ enough.
_NARROW = 0.02


@differentiable
def discretized_gaussian(
    mean: Array, log_variance: Array, *, x: Array, half_bin: float = HALF_BIN
) -> Traced:
    r"""The log-probability of a byte under a Gaussian: its mass between the edges of a bin.

    .. math::
        :label: discretized-gaussian

        \log p(x) = \log \int_{x - \delta}^{x + \delta} \mathcal N(u;\, \mu, v)\, \mathrm d u

    The lowest bin extends to minus infinity and the highest to infinity, so that the probabilities
    of all bytes add up to 1. The mass is a difference of two tails, in logarithms and on the side
    where both are small, or a series if the bin is narrow; it is accurate at any distance from the
    mean. Pullback:

    .. math::
        :label: discretized-gaussian-pullback

        \bar\mu = -\frac{1}{\sqrt v} \frac{\varphi(b) - \varphi(a)}{\Phi(b) - \Phi(a)}\, \bar y,
        \qquad
        \overline{\log v} = -\frac12 \frac{b\, \varphi(b) - a\, \varphi(a)}
                                         {\Phi(b) - \Phi(a)}\, \bar y

    with the edges a and b of the bin, in standard deviations from the mean.

    Saves: ``by_center``, ``by_width``, ``m``, ``h``, ``scale``.

    Parameters
    ----------
    mean, log_variance : mu and log v, arrays of one shape
    x : bytes b scaled to b / 127.5 - 1, of the same shape
    half_bin : delta; the values run from -1 to 1

    Returns
    -------
    log_p : array of the same shape, nats
    pullback : ``dlog_p -> (dmean, dlog_variance)``

    Raises
    ------
    InputError
        If the shapes differ.

    Notes
    -----
    Ho et al. 2020, section 3.3. Many programs replace the distribution function by a tanh of a
    cubic, which is wrong by 45 % at four standard deviations from the mean.
    """
    if not mean.shape == log_variance.shape == x.shape:
        raise InputError(
            "discretized_gaussian: mean, log_variance and x must have one shape, "
            f"got {mean.shape}, {log_variance.shape} and {x.shape}"
        )
    xp = namespace(mean)
    scale = xp.exp(-0.5 * log_variance)
    m, h = (x - mean) * scale, half_bin * scale
    lowest, highest = x < -1.0 + half_bin, x > 1.0 - half_bin
    narrow = (h * xp.maximum(1.0, xp.abs(m)) < _NARROW) & ~(lowest | highest)
    log_p, by_center, by_width = _wide(m, xp.where(narrow, 1.0, h), lowest, highest)
    series = _narrow(xp.where(narrow, m, 0.0), xp.where(narrow, h, _NARROW))
    log_p, by_center, by_width = (
        xp.where(narrow, thin, thick)
        for thin, thick in zip(series, (log_p, by_center, by_width), strict=True)
    )

    def discretized_gaussian_pullback(dlog_p: Array) -> Cotangents:
        return -scale * by_center * dlog_p, -0.5 * (m * by_center + h * by_width) * dlog_p

    return log_p, discretized_gaussian_pullback


def _wide(m: Array, h: Array, lowest: Array, highest: Array) -> tuple[Array, Array, Array]:
    """log(Phi(m + h) - Phi(m - h)), with open end bins, and its derivatives in m and h."""
    xp = namespace(m)
    inner = ~(lowest | highest)
    # mirrored to the side where the tail is small: the near and the far edge below the mean
    near = xp.where(lowest, m, xp.where(highest, -m, -xp.abs(m))) + h
    far = xp.where(inner, -xp.abs(m) - h, 0.0)
    log_near = log_ndtr(near)
    apart = xp.where(inner, log_ndtr(far) - log_near, -1.0)
    log_p = log_near + xp.where(inner, xp.log(-xp.expm1(apart)), 0.0)
    at_upper = xp.where(highest, 0.0, xp.exp(-0.5 * (m + h) ** 2 - _LOG_ROOT_2_PI - log_p))
    at_lower = xp.where(lowest, 0.0, xp.exp(-0.5 * (m - h) ** 2 - _LOG_ROOT_2_PI - log_p))
    return log_p, at_upper - at_lower, at_upper + at_lower


def _narrow(m: Array, h: Array) -> tuple[Array, Array, Array]:
    """The same by the series 2 h phi(m) (1 + h^2 He_2(m) / 6 + h^4 He_4(m) / 120 + ...)."""
    xp = namespace(m)
    second, fourth = m**2 - 1.0, m**4 - 6.0 * m**2 + 3.0
    more = h**2 * second / 6.0 + h**4 * fourth / 120.0
    by_m = h**2 * m / 3.0 + h**4 * (m**3 - 3.0 * m) / 30.0
    by_h = h * second / 3.0 + h**3 * fourth / 30.0
    log_p = xp.log(2.0 * h) - 0.5 * m**2 - _LOG_ROOT_2_PI + xp.log1p(more)
    return log_p, by_m / (1.0 + more) - m, by_h / (1.0 + more) + 1.0 / h


def categorical_log_probability(
    schedule: Schedule, x_0: Array, x_t: Array, t: Times, half_bin: float = HALF_BIN
) -> Array:
    r"""VDM's decoder: the log-probability of each byte given x_t, by Bayes' rule with equal priors.

    .. math::
        :label: categorical-decoder

        p(x_0 \mid x_t) = \frac{q(x_t \mid x_0)}{\sum_k q(x_t \mid x_0 = v_k)},
        \qquad
        q(x_t \mid x_0) \propto e^{-\frac12 e^{\lambda_t} (x_t / \alpha_t - x_0)^2}

    It does not use the network, so the noise at time t should be smaller than the width of a bin.

    Parameters
    ----------
    schedule : Schedule
    x_0 : (N, ...) array, bytes b scaled to b / 127.5 - 1
    x_t : (N, ...) array
    t : the smallest timestep, a scalar or (N,)
    half_bin : half the distance between the values v_k, which run from -1 to 1

    Returns
    -------
    (N, ...) array, log p of each element in nats

    Notes
    -----
    Kingma et al. 2021, section 3.3.
    """
    xp = namespace(x_0)
    z = per_sample(1.0 / schedule.alpha(t), x_t) * x_t
    precision = per_sample(0.5 * (schedule.alpha(t) / schedule.sigma(t)) ** 2, x_t)
    width = 2.0 * half_bin
    count = round(2.0 / width) + 1
    nearest = xp.clip(xp.rint((z + 1.0) / width), 0.0, count - 1.0) * width - 1.0
    largest = -precision * (z - nearest) ** 2
    total = xp.zeros_like(z)
    for k in range(count):
        total = total + xp.exp(-precision * (z - (k * width - 1.0)) ** 2 - largest)
    return -precision * (z - x_0) ** 2 - largest - xp.log(total)
