"""The proof of a noise schedule: an object, functions of time, or the arrays of a chain."""

from typing import Any

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules import SCHEDULES, Schedule
from npdiff.verify.report import Finding, Findings, called
from npdiff.verify.schedule_functions import Function, digits, far, levels, log_snr_of, rates
from npdiff.verify.schedule_table import of_table

#: What may be known of a schedule, by the names of the methods of a Schedule.
FUNCTIONS = (
    *("alpha", "sigma", "log_alpha", "log_sigma", "log_snr", "time_at"),
    *("alpha_dot", "sigma_dot", "log_alpha_dot", "log_sigma_dot", "drift", "diffusion"),
)


def schedule(
    my: Any = None,
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
) -> Findings:
    r"""Whether a noise schedule is consistent, and is the one that it claims to be.

    Three ways to give one. As an object whose methods are called as those of
    :class:`npdiff.schedules.Schedule`; as functions of time by the same names, of which ``alpha``
    and ``sigma`` are needed; or as the arrays of a chain, whose index has to be named.

    Checked as far as it is given: log-SNR falls; at the first time there is hardly any noise and at
    the last hardly any signal; alpha^2 + sigma^2 = 1, where that is claimed; every derivative
    against differences, and f and g^2 against those of alpha and sigma; the inverse; digits lost
    near the data. Of a chain: the range of betas, and alpha-bar as the product of 1 - beta.

    Parameters
    ----------
    my : an object with methods, such as a Schedule
    betas, alpha_bar : (T,) arrays, either or both; with ``first=0`` (T + 1,)
    first : the time of the first entry of the arrays: 1 where it is the first noisy step, as in
        DDPM's programs; 0 where it is the data, as in npdiff
    span : first and last time of the functions; (t_min, t_max) of an object
    variance_preserving : whether it claims to be
    like : a Schedule, or the name of one of npdiff's, that it claims to be
    clean : what sigma / alpha may be at the first time
    noisy : what alpha / sigma may be at the last time; 1e-4 for terminal SNR of zero
    tolerance : relative, of derivatives; absolute, of log-SNR
    functions : ``alpha``, ``sigma``, ``log_snr``, ``time_at``, ``alpha_dot``, ``sigma_dot``,
        ``drift``, ``diffusion``, ``log_alpha``, ...

    Returns
    -------
    Findings

    Raises
    ------
    InputError
        If nothing is given, or arrays without ``first``, or functions without ``span``.

    Examples
    --------
    >>> import numpy as np
    >>> schedule(betas=np.linspace(1e-4, 0.02, 1000), first=1, like="linear").passed
    True
    >>> round(schedule(betas=np.linspace(1e-4, 0.02, 100), first=1)["at the last"].residual, 3)
    0.756
    """
    right = SCHEDULES[like]() if isinstance(like, str) and like in SCHEDULES else like
    if isinstance(right, str):
        raise InputError(f"unknown schedule {right!r}: choose one of {', '.join(SCHEDULES)}")
    if betas is not None or alpha_bar is not None:
        if my is not None or functions:
            raise InputError("give arrays or functions, not both")
        found, notes = of_table(betas, alpha_bar, first, right, clean, noisy, tolerance)
        return Findings("schedule (table)", tuple(found), tuple(notes))
    unknown = sorted(functions.keys() - set(FUNCTIONS))
    if unknown:
        raise InputError(f"unknown function {unknown[0]!r}: choose of {', '.join(FUNCTIONS)}")
    known: dict[str, Function] = {k: getattr(my, k) for k in FUNCTIONS if hasattr(my, k)}
    known.update(functions)
    if not {"alpha", "sigma"} <= known.keys():
        raise InputError("expected an object with alpha and sigma, these functions, or arrays")
    if span is None:
        if not hasattr(my, "t_max"):
            raise InputError("name the first and the last time of your functions: span=(0.001, 1)")
        span = (float(getattr(my, "t_min", 0.0)), float(my.t_max))
    if variance_preserving is None:
        from npdiff.schedules import VariancePreserving

        variance_preserving = isinstance(my, VariancePreserving)
    steps = getattr(my, "steps", None)
    timesteps = _times(span, steps)
    values = {
        k: np.asarray(f(timesteps), dtype=np.float64) for k, f in known.items() if k != "time_at"
    }
    shapes = sorted(k for k, v in values.items() if v.shape != timesteps.shape)
    if shapes:
        raise InputError(
            f"{shapes[0]}(t) has shape {values[shapes[0]].shape} for {timesteps.shape} times"
        )
    found = levels(known, values, timesteps, span, clean, noisy, variance_preserving)
    found += digits(known, span)
    found += rates(known, values, timesteps, span, steps, tolerance)
    if "time_at" in known:
        levels_ = values["log_snr"] if "log_snr" in known else log_snr_of(known, timesteps)
        again = np.asarray(known["time_at"](levels_), dtype=np.float64)
        found.append(Finding("time_at is the inverse of log_snr", far(again, timesteps), tolerance))
    if right is not None:
        both = log_snr_of(known, timesteps), right.log_snr(timesteps)
        found.append(_same_as(right, float(np.abs(both[0] - both[1]).max()), tolerance))
    return Findings(f"schedule {called(my) if my is not None else '(functions)'}", tuple(found))


def _same_as(right: Schedule, residual: float, tolerance: float) -> Finding:
    return Finding(
        f"log-SNR is that of {called(right)}", residual, max(tolerance, 1e-9),
        "other constants, another count of time, or digits lost",
    )  # fmt: skip


def _times(span: tuple[float, float], steps: int | None) -> np.ndarray:
    """Times from first to last, dense near the data; on a chain in the middle of steps."""
    low, high = span
    if not 0.0 <= low < high:
        raise InputError(f"expected 0 <= first < last time, got {span}")
    even = low + (high - low) * (np.arange(1, 40) / 40.0) ** 2
    return np.unique(np.floor(even)) + 0.5 if steps is not None else even
