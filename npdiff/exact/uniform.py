"""Uniform data on an interval or a box."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.exact.distribution import Distribution, as_columns, asarray_like, flatten, short_repr
from npdiff.exact.flows import Tails, flow_by_quantiles
from npdiff.exact.quadrature import REACH, gauss_legendre
from npdiff.random import Key
from npdiff.schedules import Schedule, Times

#: Replace a noise scale and a signal scale of 0, so that a division does not overflow.
_NO_NOISE, _NO_SIGNAL = 1e-100, 1e-150

#: The integral of a posterior stops where it has fallen by this much, in nats.
_DROP = 40.0

#: The Gauss-Legendre rule on [-1, 1], for a function that falls by _DROP on either side.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(80)


class _Posterior(NamedTuple):
    """q(u | x_t) of x_0 = center + radius u, with u on [-1, 1]: all (N, D), in float64."""

    mean: Array
    variance: Array
    log_integral: Array  # of the posterior divided by its value at the mode
    log_mode: Array  # -|x_t - alpha x_0|^2 / 2 sigma^2 at the mode


class Uniform(Distribution):
    r"""Independent elements, each uniform between two ends.

    Given a noisy sample, an element has a truncated normal distribution with mean
    :math:`x_t / \alpha_t` and standard deviation :math:`\sigma_t / \alpha_t` before truncation. Its
    moments are computed as integrals of positive functions about the mode, without cancellation at
    any noise level and at any distance.

    Parameters
    ----------
    low, high : (D,) arrays or scalars; low < high

    Raises
    ------
    InputError
        If the shapes differ, an end is not finite, or low is not below high.
    """

    def __init__(self, low: ArrayLike, high: ArrayLike) -> None:
        self.low, self.high = (np.atleast_1d(np.asarray(e, dtype=np.float64)) for e in (low, high))
        if self.low.ndim != 1 or self.low.shape != self.high.shape:
            raise InputError(
                f"expected ends (D,), got shapes {self.low.shape} and {self.high.shape}"
            )
        if not (np.isfinite(self.low) & np.isfinite(self.high) & (self.low < self.high)).all():
            raise InputError(
                f"expected finite ends with low < high, got {self.low.tolist()} "
                f"and {self.high.tolist()}"
            )
        self.size = self.low.size
        self._center, self._radius = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)

    def __repr__(self) -> str:
        return f"Uniform(low={short_repr(self.low)}, high={short_repr(self.high)})"

    def denoised(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The mean of the data given a noisy sample: the mean of a truncated normal distribution.

        .. math::
            :label: uniform-denoiser

            \mathbb E[x_0 \mid x_t] = \frac{x_t}{\alpha_t} + \frac{\sigma_t}{\alpha_t}\,
            \frac{\phi(A) - \phi(B)}{\Phi(B) - \Phi(A)},
            \qquad A = \frac{\alpha_t a - x_t}{\sigma_t},
            \quad B = \frac{\alpha_t b - x_t}{\sigma_t}

        with the standard normal density and distribution function, and the ends a and b. At t = 0
        a point outside the box is projected to the box.
        """
        p = self._posterior(schedule, x, t)
        x_0 = asarray_like(self._center, p.mean) + asarray_like(self._radius, p.mean) * p.mean
        return x_0.astype(x.dtype).reshape(x.shape)

    def covariance(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The covariance of the data given a noisy sample, (N, D, D): diagonal.

        .. math::
            :label: uniform-covariance

            \operatorname{Var}[x_0 \mid x_t] = \frac{\sigma_t^2}{\alpha_t^2} \left( 1
            + \frac{A\, \phi(A) - B\, \phi(B)}{\Phi(B) - \Phi(A)}
            - \left( \frac{\phi(A) - \phi(B)}{\Phi(B) - \Phi(A)} \right)^2 \right)

        with A and B of :eq:`uniform-denoiser`.
        """
        variance = self._posterior(schedule, x, t).variance
        diagonal = variance * asarray_like(self._radius**2, variance)
        return (diagonal[:, :, None] * asarray_like(np.eye(self.size), diagonal)).astype(x.dtype)

    def log_density(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The log-density of a noisy sample in nats; at t = 0 it is -inf outside the box.

        .. math::
            :label: uniform-density

            q(x_t) = \frac{\Phi(B) - \Phi(A)}{\alpha_t (b - a)}

        with A and B of :eq:`uniform-denoiser`; for a box, the product over its sides.
        """
        xp = namespace(x)
        p = self._posterior(schedule, x, t)
        (sigma,) = as_columns(np.maximum(schedule.sigma(t), _NO_NOISE))
        constant = asarray_like(np.log(2.0 * np.sqrt(2.0 * np.pi) * sigma), p.mean)
        logs = p.log_mode + p.log_integral - constant
        outside = asarray_like(np.where(as_columns(schedule.sigma(t))[0] > 0.0, 0.0, 1.0), p.mean)
        return xp.where(outside * p.log_mode < 0.0, -xp.inf, logs).sum(axis=-1).astype(x.dtype)

    def entropy(self) -> float:
        r"""The differential entropy in nats.

        .. math::
            :label: uniform-entropy

            h = \sum_d \log(b_d - a_d)
        """
        return float(np.log(self.high - self.low).sum())

    def mean_posterior_variance(self, schedule: Schedule, t: float) -> float:
        """The mean of :eq:`mean-posterior-variance` over the sides of the box, by quadrature."""
        sides = [Uniform(low, high) for low, high in zip(self.low, self.high, strict=True)]
        return float(
            np.mean([Distribution.mean_posterior_variance(side, schedule, t) for side in sides])
        )

    def nodes(self, schedule: Schedule, t: float) -> tuple[np.ndarray, np.ndarray]:
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        if self.size > 1:
            return super().nodes(schedule, t)
        around = sigma * np.linspace(-REACH, REACH, 13)
        x, lengths = gauss_legendre(
            np.concatenate([alpha * self.low + around, alpha * self.high + around])
        )
        density = np.exp(self.log_density(schedule, x[:, None], t))
        return x[:, None], lengths * density

    def flow(self, schedule: Schedule, x: Array, t: float, s: float) -> Array:
        """By quantiles, :eq:`quantile-flow`, separately for each element."""
        flat = flatten(x, self.size)
        end = flow_by_quantiles(flat, self._tails(schedule, t), self._tails(schedule, s))
        return end.reshape(x.shape)

    def sample(self, key: Key) -> np.ndarray:
        return self.low + (self.high - self.low) * key.uniform((self.size,))

    def _posterior(self, schedule: Schedule, x: Array, t: Times) -> _Posterior:
        xp = namespace(x)
        x = flatten(x, self.size).astype(np.float64)
        alpha, sigma = as_columns(schedule.alpha(t), np.maximum(schedule.sigma(t), _NO_NOISE))
        reach = np.maximum(alpha * self._radius, _NO_SIGNAL)
        reach_d, sigma_d, curvature = (
            asarray_like(c, x) for c in (reach, sigma, (reach / sigma) ** 2)
        )
        z = x - asarray_like(alpha * self._center, x)
        mode = xp.clip(z / reach_d, -1.0, 1.0)
        # The logarithm falls from its mode as |slope v| + curvature v²/2.
        excess = xp.where(xp.abs(mode) < 1.0, 0.0, z - reach_d * mode)
        slope = excess * reach_d / sigma_d**2
        root = xp.hypot(slope, xp.sqrt(2.0 * _DROP * curvature))
        length = 2.0 * _DROP / xp.maximum(xp.abs(slope) + root, _DROP)
        left, right = xp.minimum(mode + 1.0, length), xp.minimum(1.0 - mode, length)
        width = 0.5 * (left + right)
        v = (0.5 * (right - left))[:, :, None] + width[:, :, None] * asarray_like(_NODES, x)
        falls = v * (slope[:, :, None] - 0.5 * curvature[:, :, None] * v)
        p = asarray_like(_WEIGHTS, x) * xp.exp(falls)
        total = p.sum(axis=-1)
        mean = (p * v).sum(axis=-1) / total
        variance = (p * (v - mean[:, :, None]) ** 2).sum(axis=-1) / total
        log_mode = -0.5 * (excess / sigma_d) ** 2
        return _Posterior(mode + mean, variance, xp.log(width * total), log_mode)

    def _tails(self, schedule: Schedule, t: float) -> Tails:
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))

        def tails(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            if sigma == 0.0:
                u = np.clip((x / alpha - self._center) / self._radius, -1.0, 1.0)
                return 0.5 * (1.0 + u), 0.5 * (1.0 - u)
            a, b = (x - alpha * self.low) / sigma, (x - alpha * self.high) / sigma
            return _mean_of_phi(b, a), _mean_of_phi(-a, -b)

        return tails


def _mean_of_phi(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The mean of the normal distribution function over [a, b], accurate in its lower tail."""
    from scipy.special import ndtr

    def integral(z: np.ndarray) -> np.ndarray:
        return z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)

    length = b - a
    points = 0.5 * (a + b)[..., None] + 0.5 * length[..., None] * _NODES
    near = 0.5 * ndtr(points) @ _WEIGHTS
    return np.where(length < 1.0, near, (integral(b) - integral(a)) / np.maximum(length, 1.0))
