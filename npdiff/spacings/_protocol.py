"""The contract that all timestep spacings share."""

from operator import index
from typing import Any, Protocol

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules import Schedule


class Spacing(Protocol):
    """A function that returns the timesteps of a sampler.

    Parameters
    ----------
    schedule : Schedule
    steps : N, at most T on a discrete schedule of T steps
    options : the spacing's own, by keyword

    Returns
    -------
    (N + 1,) float64 array on the host
        Descending times of the schedule, the last 0. (A network's *timestep* is another quantity:
        :meth:`~npdiff.schedules.Schedule.timestep` of such a time.)

    Raises
    ------
    InputError
        If ``steps`` is not an integer from 1 to T, or an option is out of range.
    """

    def __call__(self, schedule: Schedule, steps: int, **options: Any) -> np.ndarray: ...


def check_steps(schedule: Schedule, steps: int) -> None:
    """Raise an InputError unless ``steps`` is a positive integer and fits the schedule."""
    try:
        index(steps)
    except TypeError:
        raise InputError(f"the number of steps must be an integer, got {steps!r}") from None
    if steps < 1:
        raise InputError(f"the number of steps must be at least 1, got {steps}")
    if schedule.steps is not None and steps > schedule.steps:
        raise InputError(
            f"{steps} sampling steps do not fit a discrete schedule of {schedule.steps}: "
            f"use {schedule.steps} or fewer"
        )
