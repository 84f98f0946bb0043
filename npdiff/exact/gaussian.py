"""Gaussian data."""

import numpy as np
from numpy.typing import ArrayLike

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.exact.distribution import Distribution, as_columns, asarray_like, flatten, short_repr
from npdiff.random import Key
from npdiff.schedules import Schedule, Times

#: The rounding error allowed in a covariance, per dimension and relative to its largest entry.
_ROUNDING = 4.0 * float(np.finfo(np.float64).eps)


class Gaussian(Distribution):
    r"""Gaussian data: every map of the diffusion is affine.

    .. math::
        :label: gaussian-marginal

        q(x_t) = \mathcal N\!\left(\alpha_t m,\; \alpha_t^2 C + \sigma_t^2 I\right)

    Parameters
    ----------
    mean : (D,) array m
    covariance : C, a symmetric positive semi-definite (D, D) array, or (D,) for a diagonal matrix,
        or a scalar for a multiple of the identity

    Raises
    ------
    InputError
        If the shapes differ, a value is not finite, or the covariance is not symmetric or has a
        negative eigenvalue beyond rounding.
    """

    def __init__(self, mean: ArrayLike, covariance: ArrayLike) -> None:
        self.mean = np.atleast_1d(np.asarray(mean, dtype=np.float64))
        C = np.asarray(covariance, dtype=np.float64)
        self.size = D = self.mean.size
        if self.mean.ndim != 1 or C.shape not in ((), (D,), (D, D)):
            raise InputError(
                "expected a mean (D,) and a covariance (D, D), (D,) or a scalar, "
                f"got shapes {self.mean.shape} and {C.shape}"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(C).all()):
            raise InputError(
                "the mean and the covariance must be finite, got "
                f"{short_repr(self.mean)} and {short_repr(C)}"
            )
        if C.ndim == 2:
            size = np.abs(C).max()
            if not np.abs(C - C.T).max() <= _ROUNDING * D * size:
                raise InputError(
                    "the covariance must be symmetric, got C_ij - C_ji up to "
                    f"{np.abs(C - C.T).max():.3g}"
                )
            variances, axes = np.linalg.eigh(C)
            self.variances = np.where(abs(variances) > _ROUNDING * D * size, variances, 0.0)
            self.axes: np.ndarray | None = axes
        else:
            self.variances, self.axes = np.broadcast_to(C, (D,)), None
        if not (self.variances >= 0.0).all():
            raise InputError(
                "the eigenvalues of the covariance must be 0 or more, "
                f"got {self.variances.min():.3g}"
            )

    def __repr__(self) -> str:
        axes = np.eye(self.size) if self.axes is None else self.axes
        covariance = self.variances if self.axes is None else (axes * self.variances) @ axes.T
        return f"Gaussian(mean={short_repr(self.mean)}, covariance={short_repr(covariance)})"

    def denoised(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The mean of the data given a noisy sample.

        .. math::
            :label: gaussian-denoiser

            \mathbb E[x_0 \mid x_t] = m
            + \alpha_t C \left(\alpha_t^2 C + \sigma_t^2 I\right)^{-1} (x_t - \alpha_t m)

        Along an axis without variance it is the mean of the data, also at t = 0.
        """
        alpha, variance = self._marginal(schedule, t)
        gain = _ratio(alpha * self.variances, variance)
        return self._from_axes(self._to_axes(x, alpha) * asarray_like(gain, x), np.ones(1), x)

    def covariance(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The covariance of the data given a noisy sample, (N, D, D); the same for all samples.

        .. math::
            :label: gaussian-covariance

            \operatorname{Var}[x_0 \mid x_t]
            = \sigma_t^2\, C \left(\alpha_t^2 C + \sigma_t^2 I\right)^{-1}
        """
        variances = self._posterior_variances(schedule, t)
        axes = np.eye(self.size) if self.axes is None else self.axes
        matrices = (axes * variances[:, None, :]) @ axes.T
        shape = (x.shape[0], self.size, self.size)
        return asarray_like(np.ascontiguousarray(np.broadcast_to(matrices, shape)), x)

    def mean_posterior_variance(self, schedule: Schedule, t: float) -> float:
        r"""The mean posterior variance c_t, in closed form.

        .. math::
            :label: gaussian-posterior-variance

            c_t = \frac1D \operatorname{tr}\,
            \sigma_t^2\, C \left(\alpha_t^2 C + \sigma_t^2 I\right)^{-1}
            = \frac1D \sum_d \frac{\sigma_t^2\, v_d}{\alpha_t^2 v_d + \sigma_t^2}

        with the eigenvalues :math:`v_d` of C; see :eq:`mean-posterior-variance`.
        """
        return float(self._posterior_variances(schedule, t).mean())

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
        _positive(variance, "the data have no density, because along one axis they do not vary")
        z = self._to_axes(x, alpha)
        constant = np.log(2.0 * np.pi * variance).sum(axis=-1)
        return -0.5 * (
            (z * z / asarray_like(variance, x)).sum(axis=-1) + xp.asarray(constant, z.dtype)
        )

    def flow(self, schedule: Schedule, x: Array, t: float, s: float) -> Array:
        r"""The solution of the probability-flow ODE.

        .. math::
            :label: gaussian-flow

            x_s = \alpha_s m + \left(\alpha_s^2 C + \sigma_s^2 I\right)^{1/2}
            \left(\alpha_t^2 C + \sigma_t^2 I\right)^{-1/2} (x_t - \alpha_t m)

        Raises
        ------
        InputError
            From t = 0 if the covariance is singular, where the map is not defined.
        """
        alpha, variance = self._marginal(schedule, t)
        alpha_s, variance_s = self._marginal(schedule, s)
        _positive(variance, "the flow is not defined, because along one axis the data do not vary")
        z = self._to_axes(x, alpha) * asarray_like(np.sqrt(variance_s / variance), x)
        return self._from_axes(z, alpha_s, x)

    def sample(self, key: Key) -> np.ndarray:
        z = key.normal((self.mean.size,)) * np.sqrt(self.variances)
        return self.mean + (z if self.axes is None else z @ self.axes.T)

    def from_standard_normal(self, schedule: Schedule, z: np.ndarray, t: float) -> np.ndarray:
        """The standard normal points ``z``, (M, D), transformed to samples of q(x_t)."""
        alpha, variance = self._marginal(schedule, t)
        return self._from_axes(z * np.sqrt(variance), alpha, z)

    def conditional(self, known: ArrayLike, values: ArrayLike) -> "Gaussian":
        r"""The conditional distribution of the unknown elements of a sample given the known ones.

        .. math::
            :label: gaussian-conditional

            q(x_u \mid x_k) = \mathcal N\!\left(
            m_u + C_{uk} C_{kk}^{-1} (x_k - m_k),\;
            C_{uu} - C_{uk} C_{kk}^{-1} C_{ku} \right)

        It is the correct result of inpainting for Gaussian data.

        Parameters
        ----------
        known : (D,) booleans, true where an element is known; neither all nor none
        values : the known elements, in order

        Returns
        -------
        Gaussian
            The distribution of the unknown elements, in order.
        """
        k = np.asarray(known, dtype=bool).reshape(-1)
        if k.size != self.size or k.all() or not k.any() or np.size(values) != k.sum():
            raise InputError(
                f"expected {self.size} booleans, some but not all true, and one value for each "
                f"true; got {k.size} booleans, {k.sum()} true, and {np.size(values)} values"
            )
        axes = np.eye(self.size) if self.axes is None else self.axes
        C = (axes * self.variances) @ axes.T
        gain = np.linalg.solve(C[np.ix_(k, k)], C[np.ix_(k, ~k)]).T
        mean = self.mean[~k] + gain @ (np.reshape(values, -1) - self.mean[k])
        remaining = C[np.ix_(~k, ~k)] - gain @ C[np.ix_(k, ~k)]
        return Gaussian(mean, 0.5 * (remaining + remaining.T))

    def _posterior_variances(self, schedule: Schedule, t: Times) -> np.ndarray:
        """The eigenvalues of Var[x_0 | x_t], (N, D) or (1, D)."""
        _, variance = self._marginal(schedule, t)
        (sigma,) = as_columns(schedule.sigma(t))
        return _ratio(sigma**2 * self.variances, variance)

    def _marginal(self, schedule: Schedule, t: Times) -> tuple[np.ndarray, np.ndarray]:
        """alpha_t and the variances of q(x_t) along the axes: (N, 1) and (N, D), or N = 1."""
        alpha, sigma = as_columns(schedule.alpha(t), schedule.sigma(t))
        return alpha, alpha**2 * self.variances + sigma**2

    def _to_axes(self, x: Array, alpha: np.ndarray) -> Array:
        """x minus the mean of q(x_t), in coordinates along the axes, (N, D)."""
        z = flatten(x, self.mean.size) - asarray_like(alpha * self.mean, x)
        return z if self.axes is None else z @ asarray_like(self.axes, x)

    def _from_axes(self, z: Array, alpha: np.ndarray, x: Array) -> Array:
        """The inverse of :meth:`_to_axes`, in the shape of ``x``."""
        z = z if self.axes is None else z @ asarray_like(self.axes.T, x)
        return (asarray_like(alpha * self.mean, x) + z).reshape(x.shape)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(b), where=b > 0.0)


def _positive(variance: np.ndarray, problem: str) -> None:
    if not (variance > 0.0).all():
        raise InputError(f"{problem} and t = 0 adds no noise: use t > 0 or a regular covariance")
