"""Helpers for the checks of discrete schedules."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from npdiff.laboratory.registry import Case
from npdiff.schedules import DiscreteSchedule

#: Numbers of steps T: DDPM's and others.
LENGTHS = (1000, 50, 37, 6)


def betas_error(schedule: DiscreteSchedule, expected: Sequence[float]) -> float:
    """The largest relative deviation of the betas 1..T."""
    right = np.array(expected, dtype=np.float64)
    if schedule.steps != right.size or schedule.t_max != right.size or schedule.betas[0] != 0.0:
        return 1.0
    return float(np.max(np.abs(schedule.betas[1:] / right - 1.0)))


def length(case: Case) -> int:
    """The number of steps of this case."""
    return case.choose(LENGTHS)


def clipped_betas(
    bar: Callable[[np.longdouble], np.longdouble], T: int, largest: float
) -> list[float]:
    """The betas of an alpha-bar(u), in extended precision, clipped."""
    rows = [bar(np.longdouble(t) / T) for t in range(T)] + [np.longdouble(0)]
    ratios = [1 - after / before for before, after in pairwise(rows)]
    return [min(float(r), largest) for r in ratios]
