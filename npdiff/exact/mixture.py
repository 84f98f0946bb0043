"""Mixtures of Gaussians."""

from collections.abc import Sequence

import numpy as np

from npdiff.backend import Array, namespace, to_host
from npdiff.errors import InputError
from npdiff.exact.distribution import Distribution, beside
from npdiff.exact.gaussian import Gaussian
from npdiff.random import Key
from npdiff.schedules import Schedule, Times


class Mixture(Distribution):
    """A mixture of Gaussians.

    Parameters
    ----------
    weights : one positive number for each component; their sum is made 1
    components : Gaussians of one dimension

    Raises
    ------
    InputError
        If a weight is not positive, or numbers or dimensions differ.
    """

    def __init__(self, weights: Sequence[float], components: Sequence[Gaussian]) -> None:
        self.weights = np.asarray(weights, dtype=np.float64)
        self.components = tuple(components)
        if self.weights.shape != (len(self.components),) or not (self.weights > 0.0).all():
            raise InputError("expected one positive weight for each component of the mixture")
        if len({component.mean.size for component in self.components}) != 1:
            raise InputError("the components of a mixture have one dimension")
        self.weights = self.weights / self.weights.sum()

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
        xp = namespace(x)
        joint = self._log_joint(schedule, x, t)
        top = joint.max(axis=-1)
        return top + xp.log(xp.exp(joint - top[:, None]).sum(axis=-1))

    def flow(self, schedule: Schedule, x: Array, t: float, s: float) -> Array:
        r"""The map of the probability-flow ODE, in one dimension.

        .. math::
            :label: quantile-flow

            F_s(x_s) = F_t(x_t)

        with the distribution functions F of q: the flow moves probability and keeps the order of
        points, so each stays at its quantile. Solved by bisection on the host.

        Raises
        ------
        InputError
            If the mixture has more than one dimension, where no closed form is known.
        """
        if self.components[0].mean.size != 1:
            raise InputError("the flow of a mixture is known in closed form in one dimension only")
        start = to_host(x).astype(np.float64).reshape(-1)
        below, above = self._tails(schedule, start, t)
        alpha, deviations = self._scales(schedule, s)
        means = alpha * np.array([c.mean[0] for c in self.components])
        low = np.full_like(start, (means - 40.0 * deviations).min())
        high = np.full_like(start, (means + 40.0 * deviations).max())
        for _ in range(100):
            middle = 0.5 * (low + high)
            below_s, above_s = self._tails(schedule, middle, s)
            # the smaller tail is the precise one
            too_low = np.where(below < above, below_s < below, above_s > above)
            low, high = np.where(too_low, middle, low), np.where(too_low, high, middle)
        return namespace(x).asarray(high.reshape(x.shape), dtype=x.dtype)

    def sample(self, key: Key) -> np.ndarray:
        chosen = np.searchsorted(np.cumsum(self.weights)[:-1], key.fold("component").uniform())
        drawn = np.stack([component.sample(key.fold("value")) for component in self.components])
        return drawn[chosen, np.arange(chosen.size)]

    def _log_joint(self, schedule: Schedule, x: Array, t: Times) -> Array:
        columns = [component.log_density(schedule, x, t) for component in self.components]
        joint = namespace(x).stack(columns, axis=-1)
        return joint + beside(np.log(self.weights), joint)

    def _scales(self, schedule: Schedule, t: float) -> tuple[float, np.ndarray]:
        alpha, variance = schedule.alpha(t), schedule.sigma(t) ** 2
        variances = np.array([c.variances[0] for c in self.components])
        return float(alpha), np.sqrt(alpha**2 * variances + variance)

    def _tails(self, schedule: Schedule, x: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities below and above each of the points x, (N,)."""
        from scipy.special import ndtr

        alpha, deviations = self._scales(schedule, t)
        means = alpha * np.array([component.mean[0] for component in self.components])
        z = (x[:, None] - means) / deviations
        return ndtr(z) @ self.weights, ndtr(-z) @ self.weights
