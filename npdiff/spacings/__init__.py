r"""Timestep spacings: the N + 1 descending times that a sampler visits in N steps, ending at 0.

A spacing is a function that returns the array ``timesteps`` (:class:`Spacing`). Spacings differ in
where they start, in how they space the times, and in the last time before 0, and all three matter:
sampling from pure noise should start at ``t_max``. On a discrete schedule of T steps the spacings
in time visit whole times, each once, for any N up to T.

The field's names are ambiguous. Most programs count timesteps from 0, so their timestep i is time
i + 1 here. ``leading`` and ``linspace`` mean N points down to t = 1 for some solvers, and for
others N + 1 points of which t = 1 is dropped: option ``dropped``. *Exponential* is ``log_snr``, and
*polyexponential* is its option ``rho``. The three spacings of DPM-Solver, which end at ``t_min``
instead of 0, are ``log_snr``, ``linspace`` and ``quadratic`` without the last step.
"""

from collections.abc import Callable

import numpy as np

from npdiff.registry import Registry
from npdiff.spacings._protocol import Spacing
from npdiff.spacings.in_noise_level import karras, log_snr
from npdiff.spacings.in_time import leading, linspace, quadratic, trailing

__all__ = [
    "SPACINGS",
    "Spacing",
    "karras",
    "leading",
    "linspace",
    "log_snr",
    "quadratic",
    "trailing",
]

#: Timestep spacings by name.
SPACINGS: Registry[Callable[..., np.ndarray], Callable[..., np.ndarray]] = Registry(
    "timestep spacing",
    "a function of (schedule, steps) that returns descending times",
    callable,
    {
        "trailing": trailing,
        "leading": leading,
        "linspace": linspace,
        "log-snr": log_snr,
        "karras": karras,
        "quadratic": quadratic,
    },
    common=("schedule", "steps"),
)
