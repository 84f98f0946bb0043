"""Gaussian data, times and derivatives for the checks of samplers in time."""

import math

import numpy as np

from npdiff.exact import Gaussian
from npdiff.laboratory.registry import Case
from npdiff.schedules import SCHEDULES, Schedule

PLANE = Gaussian([0.6, -0.3], np.array([[0.5, 0.2], [0.2, 0.3]]))


def a_schedule(case: Case) -> Schedule:
    """The schedule of this case: cases cycle through the named schedules."""
    return SCHEDULES[case.choose(list(SCHEDULES))]()


def inner_time(case: Case, schedule: Schedule) -> float:
    """A time inside a schedule; if it is discrete, in the middle of a step, where it is smooth."""
    high = float(schedule.log_snr(schedule.t_min))
    t = float(schedule.time_at(min(high - 1.0, case.rng.uniform(-2.5, 3.0))))
    return math.ceil(t) - 0.5 if schedule.steps else t


def derivative(f: object, t: float, h: float) -> np.ndarray:
    """A fourth-order difference from five points around t."""
    values = [np.asarray(f(t + k * h)) for k in (-2, -1, 1, 2)]  # type: ignore[operator]
    return (8.0 * (values[2] - values[1]) - (values[3] - values[0])) / (12.0 * h)
