"""Verification of a noise schedule: an object, functions of time, or discrete arrays."""

from typing import Any

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules import SCHEDULES, Schedule
from npdiff.verify.report import Finding, Report, name_of
from npdiff.verify.schedule_arrays import discrete_findings
from npdiff.verify.schedule_functions import (
    Function,
    derivatives,
    digits,
    levels,
    log_snr_of,
    relative_deviation,
)

#: The functions of time that can be verified: methods of a Schedule.
FUNCTIONS = (
    *("alpha", "sigma", "log_alpha", "log_sigma", "log_snr", "time_at"),
    *("alpha_dot", "sigma_dot", "log_alpha_dot", "log_sigma_dot", "drift", "diffusion"),
)


def schedule(
    schedule: Any = None,
    *,
    betas: Any = None,
    alpha_bar: Any = None,
    first: int | None = None,
    span: tuple[float, float] | None = None,
    variance_preserving: bool | None = None,
    like: Schedule | str | None = None,
    clean: float = 0.15,
    noisy: float = 0.1,
    tolerance: float = 1e-6,
    **functions: Function,
) -> Report:
    r"""Verify that a noise schedule is consistent, and equal to another one if so claimed.

    A schedule is given in one of three forms: an object with the methods of
    :class:`npdiff.schedules.Schedule`; functions of time with the same names, of which ``alpha``
    and ``sigma`` are required; or the arrays of a discrete schedule, with their index convention.

    The checks depend on what is given: log-SNR falls; there is hardly any noise at the first
    time, and hardly any signal at the last; alpha^2 + sigma^2 = 1, if claimed; each derivative
    against differences, and f and g^2 against those of alpha and sigma; the inverse; digits lost
    near the data. For arrays: the range of betas, and alpha-bar as the product of 1 - beta.

    Parameters
    ----------
    schedule : an object with such methods
    betas, alpha_bar : (T,) arrays, either or both; with ``first=0`` (T + 1,)
    first : the time of the first entry of the arrays: 1 if it is the first noisy step, as in DDPM's
        programs; 0 if it is the data, as in npdiff
    span : first and last time of the functions; (t_min, t_max) of an object
    variance_preserving : whether alpha^2 + sigma^2 = 1 is claimed
    like : the Schedule, or its name in npdiff, to which it claims to be equal
    clean : the largest sigma / alpha allowed at the first time
    noisy : the largest alpha / sigma allowed at the last time; 1e-4 for zero terminal SNR
    tolerance : the largest relative error of a derivative, and absolute error of log-SNR
    functions : ``alpha``, ``sigma``, ``log_snr``, ``time_at``, ``alpha_dot``, ``sigma_dot``,
        ``drift``, ``diffusion``, ``log_alpha``, ...

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If no schedule is given, or arrays without ``first``, or functions without ``span``.

    Examples
    --------
    >>> import numpy as np
    >>> schedule(betas=np.linspace(1e-4, 0.02, 1000), first=1, like="linear").passed
    True
    >>> round(schedule(betas=np.linspace(1e-4, 0.02, 100), first=1)["at the last"].residual, 3)
    0.756
    """
    right = SCHEDULES[like]() if isinstance(like, str) else like
    if betas is not None or alpha_bar is not None:
        if schedule is not None or functions:
            raise InputError(
                f"give a schedule as arrays or as functions, not both: got arrays and "
                f"{sorted(functions) or schedule!r}"
            )
        found, notes = discrete_findings(betas, alpha_bar, first, right, clean, noisy, tolerance)
        return Report("schedule (arrays)", tuple(found), tuple(notes))
    unknown = sorted(functions.keys() - set(FUNCTIONS))
    if unknown:
        raise InputError(f"unknown function {unknown[0]!r}: choose from {', '.join(FUNCTIONS)}")
    given: dict[str, Function] = {
        k: getattr(schedule, k) for k in FUNCTIONS if hasattr(schedule, k)
    }
    given.update(functions)
    if not {"alpha", "sigma"} <= given.keys():
        raise InputError(
            "expected an object with alpha and sigma, these two functions, or arrays, got "
            f"{sorted(given) or schedule!r}: pass alpha=..., sigma=..., or betas=..."
        )
    if span is None:
        if not hasattr(schedule, "t_max"):
            raise InputError(
                "functions need a first and a last time: give span, for example (0.001, 1)"
            )
        span = (float(getattr(schedule, "t_min", 0.0)), float(schedule.t_max))
    if variance_preserving is None:
        from npdiff.schedules import VariancePreserving

        variance_preserving = isinstance(schedule, VariancePreserving)
    steps = getattr(schedule, "steps", None)
    timesteps = _timesteps(span, steps)
    values = {
        k: np.asarray(f(timesteps), dtype=np.float64) for k, f in given.items() if k != "time_at"
    }
    shapes = sorted(k for k, v in values.items() if v.shape != timesteps.shape)
    if shapes:
        raise InputError(
            f"{shapes[0]}(t) must have the shape of t, {timesteps.shape}, "
            f"got {values[shapes[0]].shape}"
        )
    found = levels(given, values, timesteps, span, clean, noisy, variance_preserving)
    found += digits(given, span)
    found += derivatives(given, values, timesteps, span, steps, tolerance)
    if "time_at" in given:
        log_snr = values["log_snr"] if "log_snr" in given else log_snr_of(given, timesteps)
        again = np.asarray(given["time_at"](log_snr), dtype=np.float64)
        found.append(
            Finding(
                "time_at is the inverse of log_snr", relative_deviation(again, timesteps), tolerance
            )
        )
    if right is not None:
        both = log_snr_of(given, timesteps), right.log_snr(timesteps)
        found.append(_same_as(right, float(np.abs(both[0] - both[1]).max()), tolerance))
    name = name_of(schedule) if schedule is not None else "(functions)"
    return Report(f"schedule {name}", tuple(found))


def _same_as(right: Schedule, residual: float, tolerance: float) -> Finding:
    return Finding(
        f"log-SNR is that of {name_of(right)}", residual, max(tolerance, 1e-9),
        "other constants, another unit of time, or lost digits",
    )  # fmt: skip


def _timesteps(span: tuple[float, float], steps: int | None) -> np.ndarray:
    """Times from first to last, dense near the data; in the middle of steps if discrete."""
    low, high = span
    if not 0.0 <= low < high:
        raise InputError(f"span must have 0 <= first < last, got {span}")
    even = low + (high - low) * (np.arange(1, 40) / 40.0) ** 2
    return np.unique(np.floor(even)) + 0.5 if steps is not None else even
