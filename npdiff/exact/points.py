"""Data that are a finite set of points: what a network learns that learns its data by heart."""

import numpy as np
from numpy.typing import ArrayLike

from npdiff.backend import Array, blocks, namespace
from npdiff.errors import InputError
from npdiff.exact.distribution import Distribution, beside, columns, flat, noisy
from npdiff.exact.flows import Tails, by_quantiles, by_solver
from npdiff.exact.quadrature import normal_rule
from npdiff.random import Key
from npdiff.schedules import Schedule, Times

#: A noise scale that tells any two points apart, in the place of none.
_NO_NOISE = 1e-140

#: Of a mean over draws, the most numbers that are compared with points: some seconds' work.
_MOST_WORK = 2**31

#: By dimensions, the most points around which there are rules of quadrature.
_MOST = {1: 100, 2: 24}


class FiniteData(Distribution):
    """Points, each with its probability: a data set itself.

    Between the points there is no density, so that at t = 0 there is neither a log-density nor a
    way for the flow to start; the flow may end there.

    Parameters
    ----------
    points : (K, ...) array
    weights : one positive number for each point, whose sum is made 1; all alike if not given

    Raises
    ------
    InputError
        If there is no point, or a number is not finite, or a weight is not positive.
    """

    def __init__(self, points: ArrayLike, weights: ArrayLike | None = None) -> None:
        points = np.asarray(points, dtype=np.float64)
        if points.ndim < 2 or points.size == 0 or not np.isfinite(points).all():
            raise InputError(f"expected finite points (K, D), K >= 1, got shape {points.shape}")
        self.points = points.reshape(points.shape[0], -1)
        count, self.size = self.points.shape
        weights = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
        if weights.shape != (count,) or not (np.isfinite(weights) & (weights > 0.0)).all():
            raise InputError("expected one positive weight for each point")
        self.weights = weights / weights.sum()
        self.draws = max(64, min(self.draws, _MOST_WORK // self.points.size))

    def responsibilities(self, schedule: Schedule, x: Array, t: Times) -> Array:
        """The probability of each point given a noisy sample, (N, K); in float64.

        At t = 0 all of it is the nearest point's.
        """
        _, others = self._log_joint(schedule, x, t)
        odds = namespace(x).exp(others)  # that of the nearest is its weight
        return odds / odds.sum(axis=-1, keepdims=True)

    def denoised(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The mean of the data given a noisy sample.

        .. math::
            :label: finite-denoiser

            \mathbb E[x_0 \mid x_t] = \sum_i r_i\, p_i,
            \qquad
            r_i = \frac{w_i \exp\!\left(-\lVert x_t - \alpha_t p_i \rVert^2 / 2 \sigma_t^2\right)}
                 {\sum_j w_j \exp\!\left(-\lVert x_t - \alpha_t p_j \rVert^2 / 2 \sigma_t^2\right)}

        It is attention from a noisy sample to the data set, and the minimum of the loss over all
        functions when that data set is what one trains on.

        Notes
        -----
        Karras et al. 2022, section 2.1 and appendix B.3.
        """
        r = self.responsibilities(schedule, x, t)
        return (r @ beside(self.points, r)).astype(x.dtype).reshape(x.shape)

    def covariance(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The covariance of the data given a noisy sample, (N, D, D).

        .. math::
            :label: finite-covariance

            \operatorname{Var}[x_0 \mid x_t]
            = \sum_i r_i\, (p_i - \mu)(p_i - \mu)^{\mathsf T},
            \qquad \mu = \mathbb E[x_0 \mid x_t]
        """
        xp = namespace(x)
        r = self.responsibilities(schedule, x, t)
        points = beside(self.points, r)
        means = r @ points
        rows = []
        for i in range(x.shape[0]):
            off = points - means[i]
            rows.append((r[i][:, None] * off).T @ off)
        return xp.stack(rows).astype(x.dtype)

    def posterior_variance_spread(self, schedule: Schedule, x: Array, t: Times) -> Array:
        xp = namespace(x)
        r = self.responsibilities(schedule, x, t)
        points = beside(self.points, r)
        distances = _squared_distances(r @ points, xp.ones((1, 1)), points)
        return (r * distances).sum(axis=-1).astype(x.dtype)

    def log_density(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The log-density of a noisy sample in nats; for t > 0.

        .. math::
            :label: finite-density

            q(x_t) = \sum_i w_i\, \mathcal N(x_t;\, \alpha_t p_i,\, \sigma_t^2 I)
        """
        xp = namespace(x)
        (sigma,) = columns(noisy(schedule, t, "the density of a set of points"))
        nearest, others = self._log_joint(schedule, x, t)
        constant = beside((self.size * np.log(np.sqrt(2.0 * np.pi) * sigma))[:, 0], others)
        total = xp.exp(others).sum(axis=-1)  # no less than the nearest's weight: no log of 0
        return (nearest + xp.log(total) - constant).astype(x.dtype)

    def entropy(self) -> float:
        """The differential entropy of points, which is -inf.

        To name one of the points takes -sum(w log w) nats.
        """
        return float("-inf")

    def flow(self, schedule: Schedule, x: Array, t: float, s: float) -> Array:
        """By quantiles, :eq:`quantile-flow`, in one dimension; else by a solver; not from t = 0."""
        noisy(schedule, t, "a flow that starts in one of the points")
        if self.size > 1:
            return by_solver(self.denoiser, schedule, x, t, s)
        end = by_quantiles(x, self._tails(schedule, t), self._tails(schedule, s))
        return end if schedule.sigma(s) > 0.0 else self.denoised(schedule, end, s)

    def sample(self, key: Key) -> np.ndarray:
        return self.points[np.searchsorted(np.cumsum(self.weights)[:-1], key.uniform())]

    def nodes(self, schedule: Schedule, t: float) -> tuple[np.ndarray, np.ndarray]:
        if self.size > 2 or len(self.points) > _MOST[self.size]:
            return super().nodes(schedule, t)
        z, weights = normal_rule(self.size)
        x = schedule.alpha(t) * self.points[:, None, :] + schedule.sigma(t) * z
        return x.reshape(-1, self.size), np.outer(self.weights, weights).reshape(-1)

    def _log_joint(self, schedule: Schedule, x: Array, t: Times) -> tuple[Array, Array]:
        """log w_i - |x - alpha p_i|^2 / 2 sigma^2, (N, K), as a sum of two parts.

        The square of the nearest point, (N,), which without noise is as good as infinite; and the
        rest, (N, K), which is still right there.
        """
        z = flat(x, self.size).astype(np.float64)
        alpha, sigma = columns(schedule.alpha(t), np.maximum(schedule.sigma(t), _NO_NOISE))
        distances = _squared_distances(z, beside(alpha, z), beside(self.points, z))
        nearest = distances.min(axis=-1, keepdims=True)
        scale = beside(-0.5 / sigma**2, z)
        others = scale * (distances - nearest) + beside(np.log(self.weights), z)
        return (scale * nearest)[:, 0], others

    def _tails(self, schedule: Schedule, t: float) -> Tails:
        alpha, sigma = float(schedule.alpha(t)), max(float(schedule.sigma(t)), _NO_NOISE)
        means = alpha * self.points[:, 0]

        def tails(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            from scipy.special import ndtr

            z = (x[..., None] - means) / sigma
            return ndtr(z) @ self.weights, ndtr(-z) @ self.weights

        return tails


def _squared_distances(z: Array, alpha: Array, points: Array) -> Array:
    """|z - alpha p|^2 of all pairs, (N, K), by differences: nothing cancels between near points."""
    xp = namespace(z)
    count, size = points.shape
    alpha = xp.broadcast_to(alpha, (z.shape[0], 1))
    rows = []
    for block in blocks(z.shape[0], count * size, xp):
        off = z[block, None, :] - alpha[block, :, None] * points
        rows.append((off * off).sum(axis=-1))
    return xp.concatenate(rows)
