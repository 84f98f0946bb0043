"""What the function ``sample`` looks at: options before the first step, numbers after each."""

import inspect
import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from npdiff.backend import Array, namespace, to_host
from npdiff.errors import InputError
from npdiff.samplers.step import Steps
from npdiff.schedules import Schedule

_COMMON = ("denoise", "schedule", "x", "timesteps", "noise")


def defaults(sampler: Callable[..., Steps]) -> dict[str, Any]:
    """The options that are a sampler's own, with their defaults."""
    parameters = inspect.signature(sampler).parameters.items()
    return {name: p.default for name, p in parameters if name not in _COMMON}


def check_options(name: str, known: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Raise an InputError unless each option is known and its value is of the default's kind."""
    foreign = sorted(options.keys() - known.keys())
    if foreign:
        has = f"its options are {', '.join(known)}" if known else "it has none"
        raise InputError(f"sampler {name!r} has no option {foreign[0]!r}: {has}")
    for option, value in options.items():
        if wanted := _mismatch(value, known[option]):
            raise InputError(f"the option {option!r} of {name!r} is {wanted}, got {value!r}")


def _mismatch(value: Any, default: Any) -> str:
    """What is wanted in the place of ``value``, if it is not of the kind of ``default``."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, int):
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        return "" if whole else "an integer"
    if isinstance(default, float):
        number = isinstance(value, Real) and not isinstance(value, bool)
        return "" if number and not math.isnan(value) else "a number"
    if isinstance(default, str):  # a name, or in its place what it names
        return "" if isinstance(value, str) or callable(value) else "a name"
    return ""


def checked_times(schedule: Schedule, timesteps: np.ndarray) -> np.ndarray:
    """``timesteps`` as float64, strictly descending and within the schedule, or an InputError."""
    timesteps = schedule.time(timesteps)
    if timesteps.ndim != 1 or timesteps.size < 2:
        raise InputError("a grid is a row of at least two times")
    if not (np.diff(timesteps) < 0.0).all():
        raise InputError("a grid's times descend strictly, from noise to data")
    return timesteps


def check_state(x: Array) -> None:
    """Raise an InputError unless ``x`` is a batch of floating-point numbers."""
    if x.ndim == 0 or x.dtype.kind != "f":
        raise InputError(
            f"a sampler starts from an (N, ...) array of floating-point numbers, "
            f"got {x.dtype} of shape {tuple(x.shape)}"
        )


def watched(steps: Steps, timesteps: np.ndarray) -> Steps:
    """The same steps, or an InputError where one led to what is no number.

    On NumPy every step is looked at. On a device only the last: a look makes the program wait.
    """
    last = len(timesteps) - 1
    for i, step in enumerate(steps, 1):
        xp = namespace(step.x)
        if (xp is np or i == last) and not to_host(xp.isfinite(step.x).all()):
            raise InputError(
                f"{'step' if xp is np else 'a step up to'} {i} of {last}, "
                f"from t = {timesteps[i - 1]:g} to {timesteps[i]:g}, led to numbers that are not finite: "
                "look at what the denoiser answers there, or take shorter steps"
            )
        yield step
