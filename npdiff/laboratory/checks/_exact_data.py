"""Data shared by the checks of exact distributions: Gaussian mixtures from their textbook formulas.

Nothing here uses the package's algebra: covariances are inverted, and moments are sums over a grid.
"""

from dataclasses import dataclass

import numpy as np

from npdiff.exact import Distribution, Gaussian, Mixture, Uniform
from npdiff.laboratory.checks._schedules import timesteps
from npdiff.laboratory.registry import Case
from npdiff.schedules import SCHEDULES, Schedule

POINTS, WEIGHTS = np.array([[0.3, 1.0], [0.5, -0.4], [-1.2, 0.2], [0.9, 1.1]]), np.arange(1.0, 5.0)


def scales(schedule: Schedule, t: float) -> tuple[float, float]:
    return float(schedule.alpha(t)), float(schedule.sigma(t))


def schedule_and_time(case: Case) -> tuple[Schedule, float, float, float]:
    """A schedule (different in every case), a time in it, alpha and sigma."""
    names = list(SCHEDULES)
    schedule = SCHEDULES[names[5 * case.index % len(names)]]()
    t = float(timesteps(case, schedule, 3)[case.index % 3])
    return schedule, t, *scales(schedule, t)


def noisy(case: Case, x_0: np.ndarray, alpha: float, sigma: float) -> np.ndarray:
    return alpha * x_0 + sigma * case.rng.standard_normal(x_0.shape)


BOX = Uniform([-0.7, 0.2], [1.6, 0.5])


@dataclass(frozen=True)
class Textbook:
    """A Gaussian mixture from its covariances; its methods also accept complex points."""

    weights: np.ndarray  # (K,)
    means: np.ndarray  # (K, D)
    covariances: np.ndarray  # (K, D, D)

    def at(self, alpha: float, sigma: float) -> "Textbook":
        """The marginal q(x_t)."""
        noise = sigma**2 * np.eye(self.means.shape[1])
        return Textbook(self.weights, alpha * self.means, alpha**2 * self.covariances + noise)

    def log_terms(self, x: np.ndarray) -> np.ndarray:
        """The logarithm of each weighted component density, (..., K)."""
        columns = []
        for w, m, C in zip(self.weights, self.means, self.covariances, strict=True):
            d = x - m
            constant = 0.5 * np.linalg.slogdet(2.0 * np.pi * C)[1]
            square = (d * (d @ np.linalg.inv(C))).sum(axis=-1)
            columns.append(np.log(w) - constant - 0.5 * square)
        return np.stack(columns, axis=-1)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        terms = self.log_terms(x)
        top = terms.real.max(axis=-1)
        return top + np.log(np.exp(terms - top[..., None]).sum(axis=-1))

    def score(self, x: np.ndarray) -> np.ndarray:
        terms = self.log_terms(x)
        responsibilities = np.exp(terms - self.log_density(x)[..., None])
        parts = [
            responsibilities[..., k, None] * ((m - x) @ np.linalg.inv(C))
            for k, (m, C) in enumerate(zip(self.means, self.covariances, strict=True))
        ]
        return np.sum(parts, axis=0)

    def exact(self) -> Distribution:
        parts = [Gaussian(m, C) for m, C in zip(self.means, self.covariances, strict=True)]
        return parts[0] if len(parts) == 1 else Mixture(list(self.weights), parts)


ONE = Textbook(np.ones(1), np.array([[0.7, -0.4]]), np.array([[[0.5, 0.2], [0.2, 0.3]]]))


PLANE = Textbook(
    np.array([0.2, 0.5, 0.3]),
    np.array([[1.0, 0.1], [-0.2, 1.1], [-1.0, -0.8]]),
    np.array([[[0.1, 0.0], [0.0, 0.1]], [[0.2, -0.06], [-0.06, 0.1]], [[0.2, 0.1], [0.1, 0.2]]]),
)


LINE = Textbook(np.array([0.4, 0.6]), np.array([[-1.0], [0.6]]), np.array([[[0.04]], [[0.09]]]))


def bayes_on_a_grid(
    prior: Textbook, alpha: float, sigma: float, x_t: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Bayes' rule in the plane: log q(x_t), component probabilities, mean and covariance of x_0.

    The grid is over the noise if the noise is small, and over the data otherwise.
    """
    if sigma < 0.15 * alpha:
        axis = np.linspace(-9.0, 9.0, 181)
        eps = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        x_0 = (x_t - sigma * eps) / alpha
        cell = ((axis[1] - axis[0]) * sigma / alpha) ** 2
    else:
        axis = np.linspace(-7.0, 7.0, 337)
        x_0 = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        cell = (axis[1] - axis[0]) ** 2
    likelihood = -0.5 * (((x_t - alpha * x_0) / sigma) ** 2).sum(axis=-1)
    logs = prior.log_terms(x_0) + likelihood[:, None] - np.log(2.0 * np.pi * sigma**2)
    joint = np.exp(logs - logs.max()) * cell
    total = joint.sum()
    p = joint.sum(axis=1) / total
    mean = p @ x_0
    off = x_0 - mean
    return np.log(total) + logs.max(), joint.sum(axis=0) / total, mean, (p[:, None] * off).T @ off


def fine_rule(
    low: float, high: float, *around: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Quadrature nodes and weights on [low, high]; panels grow away from each (center, width)."""
    growth = np.append(0.0, 1.3 ** np.arange(-10.0, 60.0))
    edges = [low, high]
    for place, width in around:
        edges += [*(place - width * growth), *(place + width * growth)]
    ends = np.unique(np.clip(edges, low, high))
    nodes, weights = np.polynomial.legendre.leggauss(12)
    half, middle = 0.5 * np.diff(ends)[:, None], 0.5 * (ends[1:] + ends[:-1])[:, None]
    return (middle + half * nodes).ravel(), (half * weights).ravel()
