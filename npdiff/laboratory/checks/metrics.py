"""Checks of the metrics: Fréchet distance, kernel distance, precision and recall."""

import math
from statistics import NormalDist, fmean, variance

import numpy as np

from npdiff.laboratory.registry import Case, check, relative
from npdiff.metrics.frechet import fit_gaussian, frechet_distance, frechet_of_gaussians
from npdiff.metrics.kernel import kernel_distance
from npdiff.metrics.manifold import precision_recall


def _covariance(case: Case, d: int) -> np.ndarray:
    a = case.rng.standard_normal((d, d))
    return a @ a.T + 0.1 * np.eye(d)


@check("fitted-gaussian", route="number by number", tolerance=1e-13)
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


@check("frechet-distance", route="SciPy's root of the product", tolerance=1e-10)
def frechet_by_matrix_root(case: Case) -> float:
    """The trace of the square root of a matrix that is not symmetric."""
    from scipy import linalg

    d = case.choose([1, 2, 5, 9])
    m, n = case.rng.standard_normal((2, d))
    a, b = _covariance(case, d), _covariance(case, d)
    root = np.trace(linalg.sqrtm(a @ b)).real
    expected = sum((m - n) ** 2) + np.trace(a) + np.trace(b) - 2.0 * root
    return relative(frechet_of_gaussians(m, a, n, b), expected)


@check("frechet-distance", route="optimal transport of quantiles", tolerance=1e-4, cases=2)
def frechet_by_transport(case: Case) -> float:
    """In one dimension the best coupling pairs quantile with quantile."""
    m, n = case.rng.uniform(-1.0, 0.0), case.rng.uniform(1.0, 2.0)
    s, t = case.rng.uniform(0.3, 2.0, 2)
    levels = (np.arange(40_000) + 0.5) / 40_000
    q = np.vectorize(NormalDist().inv_cdf)(levels)
    expected = np.mean((m + s * q - n - t * q) ** 2)
    gaussians = (np.array([m]), np.array([[s * s]]), np.array([n]), np.array([[t * t]]))
    return relative(frechet_of_gaussians(*gaussians), expected)


@check("frechet-distance", route="singular covariances in closed form", tolerance=1e-6, cases=3)
def frechet_of_lines(case: Case) -> float:
    """Data on two lines at an angle, by their vectors; a set and the same set moved: the shift."""
    u, v = case.rng.standard_normal((2, 5))
    zero = np.zeros(5)
    lines = frechet_of_gaussians(zero, np.outer(u, u), zero, np.outer(v, v))
    x = case.rng.standard_normal((4, 5))
    moved = frechet_distance(x, x + u)
    return max(relative(lines, u @ u + v @ v - 2.0 * abs(u @ v)), relative(moved, u @ u))


@check("kernel-distance", "kernel-distance-error", route="pair by pair", tolerance=1e-11, cases=3)
def kernel_distance_by_pairs(case: Case) -> dict[str, float]:
    """Every kernel by itself; and how far each sample alone moves the estimate."""
    n, m, d = case.choose([(6, 9, 3), (2, 3, 1), (8, 5, 4)])
    x = case.rng.standard_normal((n, d)) + 0.5
    y = 1.3 * case.rng.standard_normal((m, d))

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (sum(p * q for p, q in zip(a, b, strict=True)) / d + 1.0) ** 3

    def others(points: np.ndarray, i: int) -> float:
        return fmean(k(points[i], points[j]) for j in range(len(points)) if j != i)

    a = [others(x, i) - fmean(k(x[i], q) for q in y) for i in range(n)]
    b = [others(y, j) - fmean(k(p, y[j]) for p in x) for j in range(m)]
    own = sum(k(p, q) for p in x for q in x) - sum(k(p, p) for p in x)
    own_y = sum(k(p, q) for p in y for q in y) - sum(k(p, p) for p in y)
    cross = sum(k(p, q) for p in x for q in y)
    value = own / (n * (n - 1)) + own_y / (m * (m - 1)) - 2.0 * cross / (n * m)
    error = math.sqrt(4.0 * variance(a) / n + 4.0 * variance(b) / m)
    found = kernel_distance(x, y)
    return {
        "kernel-distance": abs(found.value - value) / abs(cross / (n * m)),
        "kernel-distance-error": relative(found.standard_error, error),
    }


@check("precision-recall", route="sorted distances, ball by ball", tolerance=1e-15, cases=4)
def precision_recall_by_balls(case: Case) -> float:
    """Every ball and every point by itself; far from the origin; and points on a line."""
    k = case.choose([1, 3, 2, 5])
    real = case.rng.standard_normal((40, 2)) + 50.0
    generated = 1.5 * case.rng.standard_normal((30, 2)) + 50.3
    if case.index % 4 == 3:  # equal points: the distance to the k-th other one is 0
        real = np.repeat(real[:8], 6, axis=0)
        generated = np.concatenate([np.repeat(generated[:3], 6, axis=0), real[:18]])

    def inside(points: np.ndarray, balls: np.ndarray) -> float:
        reach = [sorted(math.dist(a, b) for b in balls)[k] for a in balls]
        return fmean(
            any(math.dist(p, b) <= r for b, r in zip(balls, reach, strict=True)) for p in points
        )

    options = {} if k == 3 else {"k": k}  # 3 is what is taken if nothing is said
    found = precision_recall(real, generated, **options)
    return max(
        abs(found.precision - inside(generated, real)), abs(found.recall - inside(real, generated))
    )
