"""Quadrature for the checks of objectives: normal densities, divergences, mass on a bin."""

from collections.abc import Callable

import numpy as np

from npdiff.schedules import Schedule
from npdiff.verify._pullback import PullbackReport

#: Mean and variance.
Moments = tuple[np.ndarray | float, np.ndarray | float]


def expectation(
    mean: np.ndarray, variance: np.ndarray, f: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """E f(x) under Gaussians, element by element; exact for polynomials up to degree 9."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    values = f(mean[..., None] + np.sqrt(variance)[..., None] * nodes)
    return np.asarray((values * weights).sum(axis=-1) / np.sqrt(2.0 * np.pi))


def log_normal_density(x: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """log N(x; mean, variance), with one more axis on x."""
    mean, variance = mean[..., None], variance[..., None]
    return -0.5 * ((x - mean) ** 2 / variance + np.log(2.0 * np.pi * variance))


def divergence(p: Moments, q: Moments) -> np.ndarray:
    """KL(p || q) of Gaussians, element by element, as an integral."""
    mean, variance, *other = np.broadcast_arrays(*map(np.asarray, (*p, *q)))
    return expectation(
        mean,
        variance,
        lambda x: log_normal_density(x, mean, variance) - log_normal_density(x, *other),
    )


def worst_error(report: PullbackReport) -> float:
    """The worst error of a pullback report; infinity if it is not a report."""
    return report.worst


#: Gauss-Legendre nodes and weights on [-1, 1].
RULE = np.polynomial.legendre.leggauss(200)


def bin_mass(mean: float, deviation: float, x: float, half: float) -> float:
    """log of a Gaussian's mass on [x - half, x + half], by quadrature from its highest point.

    Where nearly all mass is on the bin, from the mass outside.
    """
    from scipy.special import ndtr

    nodes, weights = RULE
    low, high = (x - half - mean) / deviation, (x + half - mean) / deviation
    if low < -2.0 and high > 2.0:
        return float(np.log1p(-(ndtr(low) + ndtr(-high))))
    top = min(max(0.0, low), high)
    low, high = max(low, top - 12.0), min(high, top + 12.0)
    if top > 0.0:
        high = min(high, top + 40.0 / top)
    if top < 0.0:
        low = max(low, top + 40.0 / top)
    u = 0.5 * (low + high) + 0.5 * (high - low) * nodes
    mass = 0.5 * (high - low) * (weights * np.exp(-0.5 * (u**2 - top**2))).sum()
    return -0.5 * top**2 - 0.5 * np.log(2.0 * np.pi) + np.log(mass)


def end_mass(mean: float, deviation: float, end: float) -> float:
    """log of a Gaussian's mass beyond the inner edge of the lowest or highest bin."""
    from scipy.special import log_ndtr

    edge = end * (1.0 - 1 / 255)
    return float(log_ndtr(-end * (edge - mean) / deviation))


def bayes(schedule: Schedule, x_0: np.ndarray, x_t: np.ndarray, s: float, t: float) -> Moments:
    """Mean and variance of q(x_s | x_t, x_0): the product of a prior and a likelihood."""
    a_s, v_s = schedule.alpha(s), schedule.sigma(s) ** 2
    ratio = schedule.alpha(t) / a_s
    noise = schedule.sigma(t) ** 2 - ratio**2 * v_s
    precision = 1.0 / v_s + ratio**2 / noise
    return (a_s * x_0 / v_s + ratio * x_t / noise) / precision, 1.0 / precision
