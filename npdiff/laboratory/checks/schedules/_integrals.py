"""Helpers for the checks of schedules in continuous time."""

from collections.abc import Callable

import numpy as np

from npdiff.schedules import Schedule

Function = Callable[[np.ndarray], np.ndarray]


def integral(f: Function, low: float, high: float, pieces: int = 8) -> float:
    """The integral of a smooth function, by Gauss-Legendre quadrature on several pieces."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(low, high, pieces + 1)
    half = 0.5 * (edges[1] - edges[0])
    return float(sum(half * weights @ f(edge + half * (1.0 + nodes)) for edge in edges[:-1]))


def scales(schedule: Schedule, t: float | np.ndarray) -> np.ndarray:
    """alpha and sigma, stacked."""
    return np.stack([schedule.alpha(t), schedule.sigma(t)])
