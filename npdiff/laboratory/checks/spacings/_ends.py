"""The noise levels at which spacings begin and end."""

import numpy as np

from npdiff.schedules import Schedule


def ends(schedule: Schedule) -> tuple[float, float]:
    """log(sigma / alpha) where a spacing by noise level begins and ends."""
    first = schedule.t_max
    if schedule.alpha(first) == 0.0:
        first = schedule.t_max - schedule.t_min
    noisy, clean = (
        float(np.log(schedule.sigma(t) / schedule.alpha(t))) for t in (first, schedule.t_min)
    )
    return noisy, clean
