"""Schedules and times shared by many checks."""

from collections.abc import Callable

import numpy as np

from npdiff.laboratory.registry import Case
from npdiff.schedules import (
    EDM,
    SCHEDULES,
    VE,
    Cosine,
    DiscreteSchedule,
    Laplace,
    Learned,
    LinearVP,
    RectifiedFlow,
    Schedule,
    SubVP,
    linear_betas,
    sigmoid_alpha_bar_betas,
    zero_terminal_snr,
)


def a_schedule(case: Case) -> Schedule:
    """The schedule of this case: cases cycle through the named schedules."""
    return SCHEDULES[case.choose(list(SCHEDULES))]()


def timesteps(case: Case, schedule: Schedule, count: int) -> np.ndarray:
    """Distinct ascending times inside a schedule, evenly spread in log-SNR."""
    low, high = schedule.log_snr(schedule.t_min), schedule.log_snr(0.95 * schedule.t_max)
    parts = (np.arange(count) + case.rng.uniform(0.1, 0.9, count)) / count
    return schedule.time_at(low + parts * (high - low))


def cubic(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A nonlinear increasing function, and its derivative."""
    return -9.0 + 4.0 * u + 12.0 * u**3, 4.0 + 36.0 * u**2


#: The named schedules, and schedules with other than the default options.
VARIANTS: dict[str, Callable[[], Schedule]] = {
    **SCHEDULES,
    "linear of 12": lambda: linear_betas(12, 0.01, 0.3),
    "steep to noise": lambda: zero_terminal_snr(linear_betas(9, 0.05, 0.4)),
    "three betas": lambda: DiscreteSchedule(np.array([0.3, 0.02, 0.6])),
    "one beta of one": lambda: DiscreteSchedule(np.array([1.0])),
    "short sigmoid": lambda: sigmoid_alpha_bar_betas(11, -1.0, 2.5, 0.7, 0.9),
    "vp 0.3 to 7": lambda: LinearVP(0.3, 7.0),
    "sub-vp 0.3 to 7": lambda: SubVP(0.3, 7.0),
    "ve 0.5 to 20": lambda: VE(0.5, 20.0),
    "edm 0.03 to 9": lambda: EDM(sigma_max=9.0, sigma_min=0.03),
    "cosine to 0.9": lambda: Cosine(0.03, 0.9),
    "flow against the shift": lambda: RectifiedFlow(0.4),
    "heavy laplace": lambda: Laplace(1.2, 1.5, 11.0),
    "laplace of scale 1": lambda: Laplace(-0.8, 1.0, 9.0),
    "cubic": lambda: Learned(cubic),
}
