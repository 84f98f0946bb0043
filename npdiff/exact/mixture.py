"""Mixtures of Gaussians."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.exact.distribution import Distribution, asarray_like, short_repr
from npdiff.exact.flows import Tails, flow_by_quantiles, flow_by_solver
from npdiff.exact.gaussian import Gaussian
from npdiff.exact.quadrature import normal_rule
from npdiff.random import Key
from npdiff.schedules import Schedule, Times


class Mixture(Distribution):
    """A mixture of Gaussians.

    Parameters
    ----------
    weights : a positive weight for each component; they are normalized to sum to 1
    components : Gaussians of the same dimension

    Raises
    ------
    InputError
        If a weight is not positive, or the counts or dimensions differ.
    """

    def __init__(self, weights: ArrayLike, components: Sequence[Gaussian]) -> None:
        self.weights = np.asarray(weights, dtype=np.float64)
        self.components = tuple(components)
        positive = np.isfinite(self.weights) & (self.weights > 0.0)
        if self.weights.shape != (len(self.components),) or not positive.all():
            raise InputError(
                f"expected one positive weight for each of the {len(self.components)} components, "
                f"got {self.weights.tolist()}"
            )
        sizes = sorted({component.mean.size for component in self.components})
        if len(sizes) != 1:
            raise InputError(f"all components must have the same dimension, got {sizes}")
        self.weights = self.weights / self.weights.sum()
        self.size = self.components[0].mean.size

    def __repr__(self) -> str:
        count = len(self.components)
        return f"Mixture({count} Gaussians, size={self.size}, weights={short_repr(self.weights)})"

    def responsibilities(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The probability of each component given a noisy sample, (N, K).

        .. math::
            :label: responsibilities

            r_k(x_t) = \frac{\pi_k\, q_k(x_t)}{\sum_j \pi_j\, q_j(x_t)}
        """
        xp = namespace(x)
        joint = self._log_joint(schedule, x, t)
        odds = xp.exp(joint - joint.max(axis=-1, keepdims=True))
        return odds / odds.sum(axis=-1, keepdims=True)

    def denoised(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The mean of the data given a noisy sample.

        .. math::
            :label: mixture-denoiser

            \mathbb E[x_0 \mid x_t] = \sum_k r_k(x_t)\, \mathbb E_k[x_0 \mid x_t]
        """
        r = self.responsibilities(schedule, x, t)
        parts = (
            r[:, k].reshape(-1, *(1,) * (x.ndim - 1)) * component.denoised(schedule, x, t)
            for k, component in enumerate(self.components)
        )
        return sum(parts, namespace(x).zeros_like(x))

    def log_density(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The log-density of a noisy sample in nats; at t = 0 the log-likelihood of data.

        .. math::
            :label: mixture-density

            q(x_t) = \sum_k \pi_k\, q_k(x_t)
        """
        xp = namespace(x)
        joint = self._log_joint(schedule, x, t)
        top = joint.max(axis=-1)
        return top + xp.log(xp.exp(joint - top[:, None]).sum(axis=-1))

    def covariance(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The covariance of the data given a noisy sample, (N, D, D): the law of total variance.

        .. math::
            :label: mixture-covariance

            \operatorname{Var}[x_0 \mid x_t] = \sum_k r_k \left(
            \operatorname{Var}_k[x_0 \mid x_t] + (\mu_k - \mu)(\mu_k - \mu)^{\mathsf T} \right)

        with :math:`\mu_k = \mathbb E_k[x_0 \mid x_t]` and their mean :math:`\mu`,
        :eq:`mixture-denoiser`.
        """
        xp = namespace(x)
        r = self.responsibilities(schedule, x, t)
        shape = (x.shape[0], self.size)
        mean = self.denoised(schedule, x, t).reshape(shape)
        total = xp.zeros((*shape, self.size), dtype=x.dtype)
        for k, component in enumerate(self.components):
            difference = component.denoised(schedule, x, t).reshape(shape) - mean
            within = component.covariance(schedule, x, t)
            total += r[:, k, None, None] * (
                within + difference[:, :, None] * difference[:, None, :]
            )
        return total

    def flow(self, schedule: Schedule, x: Array, t: float, s: float) -> Array:
        """By quantiles in one dimension, :eq:`quantile-flow`; otherwise by a solver."""
        if self.size > 1:
            return flow_by_solver(self.denoiser, schedule, x, t, s)
        return flow_by_quantiles(x, self._tails(schedule, t), self._tails(schedule, s))

    def sample(self, key: Key) -> np.ndarray:
        chosen = np.searchsorted(np.cumsum(self.weights)[:-1], key.fold("component").uniform())
        drawn = np.stack([component.sample(key.fold("value")) for component in self.components])
        return drawn[chosen, np.arange(chosen.size)]

    def nodes(self, schedule: Schedule, t: float) -> tuple[np.ndarray, np.ndarray]:
        if self.size > 2:
            return super().nodes(schedule, t)
        z, weights = normal_rule(self.size)
        x = [component.from_standard_normal(schedule, z, t) for component in self.components]
        return np.concatenate(x), np.concatenate([w * weights for w in self.weights])

    def _log_joint(self, schedule: Schedule, x: Array, t: Times) -> Array:
        log_densities = [component.log_density(schedule, x, t) for component in self.components]
        joint = namespace(x).stack(log_densities, axis=-1)
        return joint + asarray_like(np.log(self.weights), joint)

    def _scales(self, schedule: Schedule, t: float) -> tuple[float, np.ndarray]:
        alpha, variance = schedule.alpha(t), schedule.sigma(t) ** 2
        variances = np.array([c.variances[0] for c in self.components])
        return float(alpha), np.sqrt(alpha**2 * variances + variance)

    def _tails(self, schedule: Schedule, t: float) -> Tails:
        alpha, deviations = self._scales(schedule, t)
        means = alpha * np.array([component.mean[0] for component in self.components])

        def tails(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            from scipy.special import ndtr

            z = (x[..., None] - means) / deviations
            return ndtr(z) @ self.weights, ndtr(-z) @ self.weights

        return tails
