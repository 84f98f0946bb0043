"""Normal data."""

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.exact.distribution import Distribution, beside, flat
from npdiff.random import Key
from npdiff.schedules import Schedule, Times


class Gaussian(Distribution):
    r"""Normal data, for which everything is linear.

    .. math::
        :label: gaussian-marginal

        q(x_t) = \mathcal N\!\left(\alpha_t m,\; \alpha_t^2 C + \sigma_t^2 I\right)

    Parameters
    ----------
    mean : (D,) array m
    covariance : (D, D) symmetric positive semi-definite array C, or (D,) for a diagonal one, or a
        number for a multiple of the identity

    Raises
    ------
    InputError
        If the shapes differ or the covariance has a negative eigenvalue.
    """

    def __init__(self, mean: np.ndarray, covariance: np.ndarray | float) -> None:
        self.mean = np.atleast_1d(np.asarray(mean, dtype=np.float64))
        C = np.asarray(covariance, dtype=np.float64)
        D = self.mean.size
        if self.mean.ndim != 1 or C.shape not in ((), (D,), (D, D)):
            raise InputError(
                f"expected a mean (D,) and a covariance (D, D), (D,) or a number, "
                f"got shapes {self.mean.shape} and {C.shape}"
            )
        if C.ndim == 2:
            self.variances, axes = np.linalg.eigh(C)
            self.axes: np.ndarray | None = axes
        else:
            self.variances, self.axes = np.broadcast_to(C, (D,)), None
        if not (self.variances >= 0.0).all():
            raise InputError("a covariance has no negative eigenvalue, and this one does")

    def denoised(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The mean of the data given a noisy sample.

        .. math::
            :label: gaussian-denoiser

            \mathbb E[x_0 \mid x_t] = m
            + \alpha_t C \left(\alpha_t^2 C + \sigma_t^2 I\right)^{-1} (x_t - \alpha_t m)
        """
        alpha, variance = self._marginal(schedule, t)
        z = self._centred(x, alpha) * beside(alpha * self.variances / variance, x)
        return self._placed(z, np.ones(1), x)

    def log_density(self, schedule: Schedule, x: Array, t: Times) -> Array:
        xp = namespace(x)
        alpha, variance = self._marginal(schedule, t)
        z = self._centred(x, alpha)
        constant = np.log(2.0 * np.pi * variance).sum(axis=-1)
        return -0.5 * ((z * z / beside(variance, x)).sum(axis=-1) + xp.asarray(constant, z.dtype))

    def flow(self, schedule: Schedule, x: Array, t: float, s: float) -> Array:
        r"""The map of the probability-flow ODE.

        .. math::
            :label: gaussian-flow

            x_s = \alpha_s m + \left(\alpha_s^2 C + \sigma_s^2 I\right)^{1/2}
            \left(\alpha_t^2 C + \sigma_t^2 I\right)^{-1/2} (x_t - \alpha_t m)
        """
        alpha, variance = self._marginal(schedule, t)
        alpha_s, variance_s = self._marginal(schedule, s)
        z = self._centred(x, alpha) * beside(np.sqrt(variance_s / variance), x)
        return self._placed(z, alpha_s, x)

    def sample(self, key: Key) -> np.ndarray:
        z = key.normal((self.mean.size,)) * np.sqrt(self.variances)
        return self.mean + (z if self.axes is None else z @ self.axes.T)

    def _marginal(self, schedule: Schedule, t: Times) -> tuple[np.ndarray, np.ndarray]:
        """alpha_t and the variances of q(x_t) along the axes, (N, 1) and (N, D) or N = 1."""
        alpha, sigma = (np.reshape(c, (-1, 1)) for c in (schedule.alpha(t), schedule.sigma(t)))
        return alpha, alpha**2 * self.variances + sigma**2

    def _centred(self, x: Array, alpha: np.ndarray) -> Array:
        """x as (N, D) coordinates along the axes, from the mean of q(x_t)."""
        z = flat(x, self.mean.size) - beside(alpha * self.mean, x)
        return z if self.axes is None else z @ beside(self.axes, x)

    def _placed(self, z: Array, alpha: np.ndarray, x: Array) -> Array:
        """The way back from :meth:`_centred`, to the shape of ``x``."""
        z = z if self.axes is None else z @ beside(self.axes.T, x)
        return (beside(alpha * self.mean, x) + z).reshape(x.shape)
