"""Checks of the kernel distance."""

import math
from statistics import fmean, variance

import numpy as np

from npdiff.laboratory.registry import Case, check, relative
from npdiff.metrics.kernel import kernel_distance


@check("kernel-distance", "kernel-distance-error", method="pair by pair", tolerance=1e-11, cases=3)
def kernel_distance_by_pairs(case: Case) -> dict[str, float]:
    """Each kernel value separately, and the change of the estimate by each sample alone."""
    n, m, d = case.choose([(6, 9, 3), (2, 3, 1), (8, 5, 4)])
    x = case.rng.standard_normal((n, d)) + 0.5
    y = 1.3 * case.rng.standard_normal((m, d))

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (sum(p * q for p, q in zip(a, b, strict=True)) / d + 1.0) ** 3

    def others(points: np.ndarray, i: int) -> float:
        return fmean(k(points[i], points[j]) for j in range(len(points)) if j != i)

    a = [others(x, i) - fmean(k(x[i], q) for q in y) for i in range(n)]
    b = [others(y, j) - fmean(k(p, y[j]) for p in x) for j in range(m)]
    own_x = sum(k(p, q) for p in x for q in x) - sum(k(p, p) for p in x)
    own_y = sum(k(p, q) for p in y for q in y) - sum(k(p, p) for p in y)
    cross = sum(k(p, q) for p in x for q in y)
    value = own_x / (n * (n - 1)) + own_y / (m * (m - 1)) - 2.0 * cross / (n * m)
    error = math.sqrt(4.0 * variance(a) / n + 4.0 * variance(b) / m)
    found = kernel_distance(x, y)
    return {
        "kernel-distance": abs(found.value - value) / abs(cross / (n * m)),
        "kernel-distance-error": relative(found.standard_error, error),
    }
