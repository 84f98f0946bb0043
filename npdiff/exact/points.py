"""Finite data sets: the distribution that a network learns if it memorizes its training data."""

import numpy as np
from numpy.typing import ArrayLike

from npdiff.backend import Array, blocks, namespace
from npdiff.errors import InputError
from npdiff.exact.distribution import (
    Distribution,
    as_columns,
    asarray_like,
    flatten,
    positive_sigma,
)
from npdiff.exact.flows import Tails, flow_by_quantiles, flow_by_solver
from npdiff.exact.quadrature import normal_rule
from npdiff.random import Key
from npdiff.schedules import Schedule, Times

#: Replaces a noise scale of 0; small enough to separate any two points.
_NO_NOISE = 1e-140

#: For a mean over random samples, the most distances to compute: a few seconds of work.
_MAX_WORK = 2**31

#: For each dimension with a quadrature, the largest number of points it is used for.
_MAX_POINTS = {1: 100, 2: 24}


class FiniteData(Distribution):
    """A finite set of points with probabilities, such as a data set itself.

    At t = 0 there is no density, so log_density and a flow that starts there are undefined; a flow
    may end at t = 0.

    Parameters
    ----------
    points : (K, ...) array
    weights : a positive weight for each point, normalized to sum to 1; equal by default

    Raises
    ------
    InputError
        If there are no points, a value is not finite, or a weight is not positive.
    """

    def __init__(self, points: ArrayLike, weights: ArrayLike | None = None) -> None:
        points = np.asarray(points, dtype=np.float64)
        if points.ndim < 2 or points.size == 0 or not np.isfinite(points).all():
            raise InputError(
                f"expected finite points (K, D), K >= 1, got shape {points.shape} with "
                f"{np.sum(~np.isfinite(points))} entries that are not finite"
            )
        self.points = points.reshape(points.shape[0], -1)
        count, self.size = self.points.shape
        weights = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
        if weights.shape != (count,) or not (np.isfinite(weights) & (weights > 0.0)).all():
            raise InputError(
                f"expected one positive weight for each of the {count} points, "
                f"got an array of shape {weights.shape}"
            )
        self.weights = weights / weights.sum()
        self.draws = max(64, min(self.draws, _MAX_WORK // self.points.size))

    def __repr__(self) -> str:
        return f"FiniteData({len(self.points)} points, size={self.size})"

    def responsibilities(self, schedule: Schedule, x: Array, t: Times) -> Array:
        """The probability of each point given a noisy sample, (N, K); in float64.

        At t = 0 the nearest point has probability 1.
        """
        _, others = self._log_joint(schedule, x, t)
        odds = namespace(x).exp(others)  # the nearest point keeps its weight
        return odds / odds.sum(axis=-1, keepdims=True)

    def denoised(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The mean of the data given a noisy sample.

        .. math::
            :label: finite-denoiser

            \mathbb E[x_0 \mid x_t] = \sum_i r_i\, p_i,
            \qquad
            r_i = \frac{w_i \exp\!\left(-\lVert x_t - \alpha_t p_i \rVert^2 / 2 \sigma_t^2\right)}
                 {\sum_j w_j \exp\!\left(-\lVert x_t - \alpha_t p_j \rVert^2 / 2 \sigma_t^2\right)}

        It is attention from a noisy sample to the data set, and the minimum over all functions of
        the training loss on that data set.

        Notes
        -----
        Karras et al. 2022, section 2.1 and appendix B.3.
        """
        r = self.responsibilities(schedule, x, t)
        return (r @ asarray_like(self.points, r)).astype(x.dtype).reshape(x.shape)

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
        points = asarray_like(self.points, r)
        means = r @ points
        covariances = []
        for i in range(x.shape[0]):
            difference = points - means[i]
            covariances.append((r[i][:, None] * difference).T @ difference)
        return xp.stack(covariances).astype(x.dtype)

    def posterior_covariance_trace(self, schedule: Schedule, x: Array, t: Times) -> Array:
        xp = namespace(x)
        r = self.responsibilities(schedule, x, t)
        points = asarray_like(self.points, r)
        distances = _squared_distances(r @ points, xp.ones((1, 1)), points)
        return (r * distances).sum(axis=-1).astype(x.dtype)

    def log_density(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The log-density of a noisy sample in nats; for t > 0.

        .. math::
            :label: finite-density

            q(x_t) = \sum_i w_i\, \mathcal N(x_t;\, \alpha_t p_i,\, \sigma_t^2 I)
        """
        xp = namespace(x)
        (sigma,) = as_columns(positive_sigma(schedule, t, "the density of a set of points"))
        nearest, others = self._log_joint(schedule, x, t)
        constant = asarray_like((self.size * np.log(np.sqrt(2.0 * np.pi) * sigma))[:, 0], others)
        total = xp.exp(others).sum(axis=-1)  # at least the nearest point's weight: no log(0)
        return (nearest + xp.log(total) - constant).astype(x.dtype)

    def entropy(self) -> float:
        """The differential entropy of points, which is -inf.

        The discrete entropy of the choice of a point is -sum(w log w) nats.
        """
        return float("-inf")

    def flow(self, schedule: Schedule, x: Array, t: float, s: float) -> Array:
        """By quantiles in one dimension, :eq:`quantile-flow`; otherwise by a solver; for t > 0."""
        positive_sigma(schedule, t, "the flow of a set of points")
        if self.size > 1:
            return flow_by_solver(self.denoiser, schedule, x, t, s)
        end = flow_by_quantiles(x, self._tails(schedule, t), self._tails(schedule, s))
        return end if schedule.sigma(s) > 0.0 else self.denoised(schedule, end, s)

    def sample(self, key: Key) -> np.ndarray:
        return self.points[np.searchsorted(np.cumsum(self.weights)[:-1], key.uniform())]

    def nodes(self, schedule: Schedule, t: float) -> tuple[np.ndarray, np.ndarray]:
        if self.size > 2 or len(self.points) > _MAX_POINTS[self.size]:
            return super().nodes(schedule, t)
        z, weights = normal_rule(self.size)
        x = schedule.alpha(t) * self.points[:, None, :] + schedule.sigma(t) * z
        return x.reshape(-1, self.size), np.outer(self.weights, weights).reshape(-1)

    def _log_joint(self, schedule: Schedule, x: Array, t: Times) -> tuple[Array, Array]:
        """log w_i - |x - alpha p_i|^2 / 2 sigma^2, (N, K), split into two summands.

        The term of the nearest point, (N,), which is huge without noise; and the rest, (N, K),
        which stays accurate there.
        """
        z = flatten(x, self.size).astype(np.float64)
        alpha, sigma = as_columns(schedule.alpha(t), np.maximum(schedule.sigma(t), _NO_NOISE))
        distances = _squared_distances(z, asarray_like(alpha, z), asarray_like(self.points, z))
        nearest = distances.min(axis=-1, keepdims=True)
        scale = asarray_like(-0.5 / sigma**2, z)
        others = scale * (distances - nearest) + asarray_like(np.log(self.weights), z)
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
    """|z - alpha p|^2 of all pairs, (N, K), by differences, so that near points do not cancel."""
    xp = namespace(z)
    count, size = points.shape
    alpha = xp.broadcast_to(alpha, (z.shape[0], 1))
    squares = []
    for block in blocks(z.shape[0], count * size, xp):
        difference = z[block, None, :] - alpha[block, :, None] * points
        squares.append((difference * difference).sum(axis=-1))
    return xp.concatenate(squares)
