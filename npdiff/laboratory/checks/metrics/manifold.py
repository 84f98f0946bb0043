"""Checks of precision and recall."""

import math
from statistics import fmean

import numpy as np

from npdiff.laboratory.registry import Case, check
from npdiff.metrics.manifold import precision_recall


@check("precision-recall", method="sorted distances, ball by ball", tolerance=1e-15, cases=4)
def precision_recall_by_balls(case: Case) -> float:
    """Every ball and every point in loops; far from the origin; with repeated points."""
    k = case.choose([1, 3, 2, 5])
    real = case.rng.standard_normal((40, 2)) + 50.0
    generated = 1.5 * case.rng.standard_normal((30, 2)) + 50.3
    if case.index % 4 == 3:  # repeated points: the distance to the k-th neighbor is 0
        real = np.repeat(real[:8], 6, axis=0)
        generated = np.concatenate([np.repeat(generated[:3], 6, axis=0), real[:18]])

    def inside(points: np.ndarray, balls: np.ndarray) -> float:
        reach = [sorted(math.dist(a, b) for b in balls)[k] for a in balls]
        return fmean(
            any(math.dist(p, b) <= r for b, r in zip(balls, reach, strict=True)) for p in points
        )

    options = {} if k == 3 else {"k": k}  # 3 is the default
    found = precision_recall(real, generated, **options)
    return max(
        abs(found.precision - inside(generated, real)), abs(found.recall - inside(real, generated))
    )
