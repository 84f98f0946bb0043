"""Normal data."""

import numpy as np
from numpy.typing import ArrayLike

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.exact.distribution import Distribution, beside, columns, flat
from npdiff.random import Key
from npdiff.schedules import Schedule, Times

#: What rounding may do to a covariance, for each dimension and relative to its largest entry.
_ROUNDING = 4.0 * float(np.finfo(np.float64).eps)


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
        If the shapes differ, a number is not finite, or the covariance is not symmetric or has a
        negative eigenvalue (beyond rounding, which a singular one's zeros may show).
    """

    def __init__(self, mean: ArrayLike, covariance: ArrayLike) -> None:
        self.mean = np.atleast_1d(np.asarray(mean, dtype=np.float64))
        C = np.asarray(covariance, dtype=np.float64)
        self.size = D = self.mean.size
        if self.mean.ndim != 1 or C.shape not in ((), (D,), (D, D)):
            raise InputError(
                f"expected a mean (D,) and a covariance (D, D), (D,) or a number, "
                f"got shapes {self.mean.shape} and {C.shape}"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(C).all()):
            raise InputError("expected a finite mean and a finite covariance")
        if C.ndim == 2:
            size = np.abs(C).max()
            if not np.abs(C - C.T).max() <= _ROUNDING * D * size:
                raise InputError("a covariance is symmetric, and this matrix is not")
            variances, axes = np.linalg.eigh(C)
            self.variances = np.where(abs(variances) > _ROUNDING * D * size, variances, 0.0)
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

        Along an axis on which the data do not vary it is their mean, at t = 0 too.
        """
        alpha, variance = self._marginal(schedule, t)
        gain = _ratio(alpha * self.variances, variance)
        return self._placed(self._centered(x, alpha) * beside(gain, x), np.ones(1), x)

    def covariance(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The covariance of the data given a noisy sample, (N, D, D): whatever the sample.

        .. math::
            :label: gaussian-covariance

            \operatorname{Var}[x_0 \mid x_t]
            = \sigma_t^2\, C \left(\alpha_t^2 C + \sigma_t^2 I\right)^{-1}
        """
        left = self._left(schedule, t)
        axes = np.eye(self.size) if self.axes is None else self.axes
        matrices = (axes * left[:, None, :]) @ axes.T
        shape = (x.shape[0], self.size, self.size)
        return beside(np.ascontiguousarray(np.broadcast_to(matrices, shape)), x)

    def spread(self, schedule: Schedule, t: float) -> float:
        r"""The mean squared error of the best denoiser, per number of a sample.

        .. math::
            :label: gaussian-spread

            c_t = \frac1D \operatorname{tr}\,
            \sigma_t^2\, C \left(\alpha_t^2 C + \sigma_t^2 I\right)^{-1}
            = \frac1D \sum_d \frac{\sigma_t^2\, v_d}{\alpha_t^2 v_d + \sigma_t^2}

        with the eigenvalues :math:`v_d` of C; see :eq:`spread`.
        """
        return float(self._left(schedule, t).mean())

    def entropy(self) -> float:
        r"""The differential entropy in nats; -inf where an axis has no variance.

        .. math::
            :label: gaussian-entropy

            h = \tfrac12 \log \det(2 \pi e\, C)
        """
        with np.errstate(divide="ignore"):
            return float(0.5 * np.log(2.0 * np.pi * np.e * self.variances).sum())

    def log_density(self, schedule: Schedule, x: Array, t: Times) -> Array:
        xp = namespace(x)
        alpha, variance = self._marginal(schedule, t)
        _positive(variance, "the data have no density: along one of their axes they do not vary")
        z = self._centered(x, alpha)
        constant = np.log(2.0 * np.pi * variance).sum(axis=-1)
        return -0.5 * ((z * z / beside(variance, x)).sum(axis=-1) + xp.asarray(constant, z.dtype))

    def flow(self, schedule: Schedule, x: Array, t: float, s: float) -> Array:
        r"""The map of the probability-flow ODE.

        .. math::
            :label: gaussian-flow

            x_s = \alpha_s m + \left(\alpha_s^2 C + \sigma_s^2 I\right)^{1/2}
            \left(\alpha_t^2 C + \sigma_t^2 I\right)^{-1/2} (x_t - \alpha_t m)

        Raises
        ------
        InputError
            From t = 0 if the covariance is singular: a point has nowhere to flow to.
        """
        alpha, variance = self._marginal(schedule, t)
        alpha_s, variance_s = self._marginal(schedule, s)
        _positive(variance, "no flow leaves data that do not vary along one of their axes")
        z = self._centered(x, alpha) * beside(np.sqrt(variance_s / variance), x)
        return self._placed(z, alpha_s, x)

    def sample(self, key: Key) -> np.ndarray:
        z = key.normal((self.mean.size,)) * np.sqrt(self.variances)
        return self.mean + (z if self.axes is None else z @ self.axes.T)

    def at(self, schedule: Schedule, z: np.ndarray, t: float) -> np.ndarray:
        """Where q(x_t) has what N(0, I) has at ``z``, (M, D)."""
        alpha, variance = self._marginal(schedule, t)
        return self._placed(z * np.sqrt(variance), alpha, z)

    def given(self, known: ArrayLike, values: ArrayLike) -> "Gaussian":
        r"""The distribution of the other numbers of a sample, some of which are known.

        .. math::
            :label: gaussian-conditional

            q(x_u \mid x_k) = \mathcal N\!\left(
            m_u + C_{uk} C_{kk}^{-1} (x_k - m_k),\;
            C_{uu} - C_{uk} C_{kk}^{-1} C_{ku} \right)

        It is what inpainting of Gaussian data has to come to.

        Parameters
        ----------
        known : (D,) booleans, true where a number is known; neither all nor none
        values : the known numbers, in their order

        Returns
        -------
        Gaussian
            Of the unknown numbers, in their order.
        """
        k = np.asarray(known, dtype=bool).reshape(-1)
        if k.size != self.size or k.all() or not k.any() or np.size(values) != k.sum():
            raise InputError(f"expected {self.size} booleans, some true, and a value for each true")
        axes = np.eye(self.size) if self.axes is None else self.axes
        C = (axes * self.variances) @ axes.T
        gain = np.linalg.solve(C[np.ix_(k, k)], C[np.ix_(k, ~k)]).T
        mean = self.mean[~k] + gain @ (np.reshape(values, -1) - self.mean[k])
        left = C[np.ix_(~k, ~k)] - gain @ C[np.ix_(k, ~k)]
        return Gaussian(mean, 0.5 * (left + left.T))

    def _left(self, schedule: Schedule, t: Times) -> np.ndarray:
        """The eigenvalues of Var[x_0 | x_t], (N, D) or N = 1."""
        _, variance = self._marginal(schedule, t)
        (sigma,) = columns(schedule.sigma(t))
        return _ratio(sigma**2 * self.variances, variance)

    def _marginal(self, schedule: Schedule, t: Times) -> tuple[np.ndarray, np.ndarray]:
        """alpha_t and the variances of q(x_t) along the axes, (N, 1) and (N, D) or N = 1."""
        alpha, sigma = columns(schedule.alpha(t), schedule.sigma(t))
        return alpha, alpha**2 * self.variances + sigma**2

    def _centered(self, x: Array, alpha: np.ndarray) -> Array:
        """x as (N, D) coordinates along the axes, from the mean of q(x_t)."""
        z = flat(x, self.mean.size) - beside(alpha * self.mean, x)
        return z if self.axes is None else z @ beside(self.axes, x)

    def _placed(self, z: Array, alpha: np.ndarray, x: Array) -> Array:
        """The way back from :meth:`_centered`, to the shape of ``x``."""
        z = z if self.axes is None else z @ beside(self.axes.T, x)
        return (beside(alpha * self.mean, x) + z).reshape(x.shape)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, and 0 where both are."""
    return np.divide(a, b, out=np.zeros_like(b), where=b > 0.0)


def _positive(variance: np.ndarray, complaint: str) -> None:
    if not (variance > 0.0).all():
        raise InputError(f"{complaint}, and at t = 0 there is no noise")
