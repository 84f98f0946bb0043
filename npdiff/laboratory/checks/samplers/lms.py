"""Checks of the linear multistep sampler."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from npdiff.laboratory.checks.samplers._scaled import (
    arbitrary_eps,
    error_against_loop,
    moment_weights,
)
from npdiff.laboratory.registry import Case, check
from npdiff.schedules import SCHEDULES


@check(
    "lms-step", method="moment equations of the weights", tolerance=1e-10, cases=3 * len(SCHEDULES)
)
def lms_by_moments(case: Case) -> float:
    """Every step with weights that are exact for powers of sigma, one power per node."""
    order = case.choose([4, 1, 2, 3, 5])

    def loop(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        slopes: list[np.ndarray] = []
        for i, (u, down) in enumerate(pairwise(us)):
            slopes.append(arbitrary_eps(z, u))
            k = 1 if down == 0.0 else min(order, i + 1)
            weights = moment_weights(np.array(us[i::-1][:k]), down)
            z = z + sum(w * e for w, e in zip(weights, slopes[::-1], strict=False))
            yield z

    return error_against_loop(case, "lms", loop, order=order)
