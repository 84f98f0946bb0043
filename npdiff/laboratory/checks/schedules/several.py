"""Checks of several schedules at once: default options, ends of time."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from npdiff import schedules, spacings
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import Schedule, betas, flow, laplace
from npdiff.spacings import in_noise_level

#: Label, factory and published options of each schedule.
MAKERS: Mapping[str, tuple[Any, tuple[float, ...]]] = {
    "linear-betas": (betas.linear_betas, (1000, 1e-4, 0.02)),
    "cosine-betas": (betas.cosine_betas, (1000, 0.008, 0.999)),
    "invariant-linear-betas": (betas.invariant_linear_betas, (1000, 1e-4, 0.02)),
    "scaled-linear-betas": (betas.scaled_linear_betas, (1000, 0.00085, 0.012)),
    "zero-terminal-snr": (betas.zero_snr_betas, (1000, 0.00085, 0.012)),
    "sigmoid-alpha-bar": (betas.sigmoid_alpha_bar_betas, (1000, -3.0, 3.0, 1.0, 0.999)),
    "sigmoid-betas": (betas.sigmoid_betas, (1000, 1e-4, 0.02, 6.0)),
    "exponential-alpha-bar": (betas.exponential_betas, (1000, 12.0)),
    "linear-vp": (schedules.LinearVP, (0.1, 20.0)),
    "sub-vp": (schedules.SubVP, (0.1, 20.0)),
    "cosine-alpha-bar": (schedules.Cosine, (0.008, 0.9946)),
    "exploding-variance": (schedules.VE, (0.01, 50.0)),
    "edm-schedule": (schedules.EDM, (80.0, 0.002)),
    "flow-shift": (flow.RectifiedFlow, (1.0,)),
    "laplace-log-snr": (laplace.Laplace, (0.0, 0.5, 10.0)),
    "learned-log-snr": (schedules.Learned, ()),
}


def curve(schedule: Schedule) -> np.ndarray:
    """The scales of a schedule at its ends and between them."""
    t = schedule.t_max * np.array([0.003, 0.1, 0.45, 0.8, 0.999])
    ends = [schedule.t_min, schedule.t_max, float(schedule.steps or 0)]
    return np.concatenate([ends, schedule.alpha(t), schedule.sigma(t)])


@check(*MAKERS, method="the published options given explicitly", tolerance=0.0, cases=1)
def schedules_by_default(case: Case) -> dict[str, float]:
    """A schedule with default options against the same with its paper's options."""
    return {
        label: relative(curve(make()), curve(make(*options)))
        for label, (make, options) in MAKERS.items()
    }


#: t_max and t_min of the schedules in continuous time.
ENDS = {
    "linear-vp": (1.0, 1e-3), "sub-vp": (1.0, 1e-3), "cosine-alpha-bar": (1.0, 1e-3),
    "exploding-variance": (1.0, 0.5 * math.log(2.0) / math.log(5000.0)),
    "edm-schedule": (80.0, 0.002), "flow-shift": (1.0, 1e-3),
    "learned-log-snr": (1.0, 1e-3),
}  # fmt: skip


@check(
    *ENDS, "zero-terminal-snr", "log-snr-spacing", "karras-spacing",
    method="the published values", tolerance=1e-14, cases=1,
)  # fmt: skip
def ends_of_time(case: Case) -> dict[str, float]:
    """Where time ends and begins, slopes there, and spacings of two steps, with one inner time."""
    found = {}
    for label, ends in ENDS.items():
        schedule = MAKERS[label][0]()
        found[label] = relative([schedule.t_max, schedule.t_min], ends)
        found[label] += float(schedule.log_sigma_dot(0.0) != np.inf)
    schedule = betas.zero_snr_betas(40)  # alpha is linear down to 0 in the last step
    slope = -float(schedule.alpha(39.0))
    found["zero-terminal-snr"] = relative(
        schedule.alpha_dot(np.array([39.5, 40.0])), [slope, slope]
    )
    for label, timesteps in (
        ("log-snr-spacing", in_noise_level.log_snr),
        ("karras-spacing", spacings.karras),
    ):
        off = [
            relative(timesteps(schedule, 2), [schedule.t_max, schedule.t_min, 0.0]) > 1e-9
            for schedule in (schedules.LinearVP(), schedules.EDM(), schedules.VE())
        ]
        found[label] = float(any(off))
    return found
