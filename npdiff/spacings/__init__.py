r"""Which times a sampler visits: N + 1 descending times for N steps, the last of them 0.

A grid is a host array of float64. It differs from another in where it starts, in how its times are
spread, and in where it last stops before 0, and all three matter: what is sampled from pure noise
should start at ``t_max``. On a chain of T steps the grids that are spread in time visit whole
times, none twice, for any N up to T.

The field's names for these are ambiguous. Most programs count a chain's rows from 0, so that their
timestep i is row i + 1 here. ``leading`` and ``linspace`` mean N points down to the first row for
some solvers, and for others N + 1 points of which that row is dropped: option ``dropped``. What is
called *exponential* is ``log_snr``, and *polyexponential* is its option ``rho``. The three
spacings of DPM-Solver, which end at ``t_min`` instead of 0, are ``log_snr``, ``linspace`` and
``quadratic`` without the last step.
"""

from collections.abc import Callable

import numpy as np

from npdiff.spacings.in_noise_level import karras, log_snr
from npdiff.spacings.in_time import leading, linspace, quadratic, trailing

__all__ = ["SPACINGS", "karras", "leading", "linspace", "log_snr", "quadratic", "trailing"]

#: Grids by name: ``grid(schedule, steps, **options)``.
SPACINGS: dict[str, Callable[..., np.ndarray]] = {
    "trailing": trailing,
    "leading": leading,
    "linspace": linspace,
    "log-snr": log_snr,
    "karras": karras,
    "quadratic": quadratic,
}
