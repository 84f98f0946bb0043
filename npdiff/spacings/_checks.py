"""What the grids ask of their arguments."""

from operator import index

from npdiff.errors import InputError
from npdiff.schedules import Schedule


def check(schedule: Schedule, steps: int) -> None:
    """That N steps are a number of steps, and that a chain has as many."""
    try:
        index(steps)
    except TypeError:
        raise InputError(f"a sampler takes a whole number of steps, got {steps!r}") from None
    if steps < 1:
        raise InputError(f"a sampler takes at least one step, got {steps}")
    if schedule.steps is not None and steps > schedule.steps:
        raise InputError(
            f"{steps} steps do not fit a chain of {schedule.steps}: "
            f"ask for {schedule.steps} or fewer"
        )
