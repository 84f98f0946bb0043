"""Checks of PLMS."""

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
    "plms-step", method="moment equations of the weights", tolerance=1e-10, cases=3 * len(SCHEDULES)
)
def plms_by_moments(case: Case) -> float:
    """Every step with weights that are exact for powers on even nodes, up to four of them."""

    def loop(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        slopes: list[np.ndarray] = []
        for u, down in pairwise(us):
            e = arbitrary_eps(z, u)
            slopes.append(e)
            h, k = down - u, min(len(slopes), 4)
            if down > 0.0 and k == 1:
                e = (e + arbitrary_eps(z + h * e, down)) / 2.0
            elif down > 0.0:
                weights = moment_weights(-np.arange(k), 1.0)
                e = sum((w * s for w, s in zip(weights, slopes[::-1], strict=False)), 0.0 * e)
            z = z + h * e
            yield z

    return error_against_loop(case, "plms", loop)
