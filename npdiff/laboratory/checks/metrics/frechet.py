"""Checks of the Fréchet distance."""

import math
from statistics import NormalDist, fmean

import numpy as np

from npdiff.laboratory.registry import Case, check, relative
from npdiff.metrics.frechet import fit_gaussian, frechet_distance, frechet_of_gaussians


def _covariance(case: Case, d: int) -> np.ndarray:
    a = case.rng.standard_normal((d, d))
    return a @ a.T + 0.1 * np.eye(d)


@check("fitted-gaussian", method="element by element", tolerance=1e-13)
def fitted_by_loops(case: Case) -> float:
    """Means and products of deviations, one pair of features at a time."""
    x = 3.0 + case.rng.standard_normal((case.choose([7, 12, 2, 30]), 3))
    mean, covariance = fit_gaussian(x)
    means = [fmean(column) for column in x.T]
    expected = [
        [
            math.fsum(
                (a - means[i]) * (b - means[j]) for a, b in zip(x[:, i], x[:, j], strict=True)
            )
            / (len(x) - 1)
            for j in range(3)
        ]
        for i in range(3)
    ]
    return max(relative(mean, means), relative(covariance, expected))


@check("frechet-distance", method="SciPy's root of the product", tolerance=1e-10)
def frechet_by_matrix_root(case: Case) -> float:
    """The trace of the square root of a nonsymmetric matrix."""
    from scipy import linalg

    d = case.choose([1, 2, 5, 9])
    m, n = case.rng.standard_normal((2, d))
    a, b = _covariance(case, d), _covariance(case, d)
    root = np.trace(linalg.sqrtm(a @ b)).real
    expected = sum((m - n) ** 2) + np.trace(a) + np.trace(b) - 2.0 * root
    return relative(frechet_of_gaussians(m, a, n, b), expected)


@check("frechet-distance", method="optimal transport of quantiles", tolerance=1e-4, cases=2)
def frechet_by_transport(case: Case) -> float:
    """In one dimension the best coupling pairs quantile with quantile."""
    m, n = case.rng.uniform(-1.0, 0.0), case.rng.uniform(1.0, 2.0)
    s, t = case.rng.uniform(0.3, 2.0, 2)
    levels = (np.arange(40_000) + 0.5) / 40_000
    q = np.vectorize(NormalDist().inv_cdf)(levels)
    expected = np.mean((m + s * q - n - t * q) ** 2)
    gaussians = (np.array([m]), np.array([[s * s]]), np.array([n]), np.array([[t * t]]))
    return relative(frechet_of_gaussians(*gaussians), expected)


@check("frechet-distance", method="singular covariances in closed form", tolerance=1e-6, cases=3)
def frechet_of_lines(case: Case) -> float:
    """Data on two lines at an angle; a set and the same set shifted."""
    u, v = case.rng.standard_normal((2, 5))
    zero = np.zeros(5)
    lines = frechet_of_gaussians(zero, np.outer(u, u), zero, np.outer(v, v))
    x = case.rng.standard_normal((4, 5))
    moved = frechet_distance(x, x + u)
    return max(relative(lines, u @ u + v @ v - 2.0 * abs(u @ v)), relative(moved, u @ u))
