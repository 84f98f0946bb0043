"""TODO Checks of the grids: each in plain numbers, or by what is evenly spaced in it."""

import numpy as np

from npdiff.schedules import Schedule


def ends(schedule: Schedule) -> tuple[float, float]:
    """log(sigma / alpha) where the spacing by noise begins and ends."""
    first = schedule.t_max
    if schedule.alpha(first) == 0.0:
        first = schedule.t_max - schedule.t_min
    noisy, clean = (
        float(np.log(schedule.sigma(t) / schedule.alpha(t))) for t in (first, schedule.t_min)
    )
    return noisy, clean
