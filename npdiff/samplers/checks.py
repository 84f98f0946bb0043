"""Checks of a sampler's inputs before the first step, and of each step's result."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.backend import Array, namespace, to_host
from npdiff.errors import InputError
from npdiff.options import shorten
from npdiff.samplers.step import Step, Steps
from npdiff.schedules import Schedule


def check_among(what: str, choices: Sequence[Any], value: Any) -> None:
    """Raise an InputError unless ``value`` is one of the choices."""
    if value not in choices:
        raise InputError(f"unknown {what} {value!r}: choose one of {', '.join(map(str, choices))}")


def check_timesteps(schedule: Schedule, timesteps: np.ndarray, *, ascending: bool = False) -> Any:
    """``timesteps`` as float64; an InputError unless they lie in the schedule and descend.

    With ``ascending`` they must ascend instead.
    """
    try:
        timesteps = schedule.time(timesteps)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"timesteps must be an array of times, got {shorten(timesteps)}"
        ) from error
    order = "ascending" if ascending else "descending"
    if np.ndim(timesteps) != 1 or timesteps.size < 2:
        raise InputError(
            f"timesteps must be a 1-D array of at least two {order} times, "
            f"got shape {np.shape(timesteps)}"
        )
    if not (np.diff(timesteps if ascending else -timesteps) > 0.0).all():
        raise InputError(f"timesteps must be strictly {order}, got {timesteps}")
    return timesteps


def check_state(x: Array) -> None:
    """Raise an InputError unless ``x`` is an (N, ...) floating-point array."""
    if x.ndim == 0 or x.dtype.kind != "f":
        raise InputError(
            f"x must be an (N, ...) floating-point array, got {x.dtype} of shape {tuple(x.shape)}"
        )


def check_steps(owner: str, steps: Any, x: Array, timesteps: np.ndarray) -> Steps:
    """The steps of a sampler in the dtype of ``x``; an InputError if they are not steps to the end.

    NumPy scalars of float64 turn the arrays of a user's sampler into float64.
    """
    step: Any = None
    if not hasattr(steps, "__next__"):
        raise InputError(
            f"sampler {owner!r} must be a generator function, one that yields Step(t, x, x0_hat), "
            f"it returned {shorten(steps)}"
        )
    for step in steps:
        if not isinstance(step, Step):
            raise InputError(
                f"sampler {owner!r} must yield npdiff.samplers.Step(t, x, x0_hat), got "
                f"{shorten(step)}"
            )
        if step.x.shape != x.shape:
            raise InputError(
                f"sampler {owner!r} must yield states of shape {tuple(x.shape)}, got "
                f"{tuple(step.x.shape)}"
            )
        if step.x.dtype != x.dtype or step.x0_hat.dtype != x.dtype:
            step = step._replace(x=step.x.astype(x.dtype), x0_hat=step.x0_hat.astype(x.dtype))
        yield step
    if step is None or not np.isclose(step.t, timesteps[-1]):
        reached = "yielded no step" if step is None else f"ended at t = {step.t:g}"
        raise InputError(f"sampler {owner!r} {reached}, expected a step to t = {timesteps[-1]:g}")


def check_finite(steps: Steps, timesteps: np.ndarray) -> Steps:
    """The same steps; an InputError at a step whose result is not finite.

    On NumPy every step is checked, on a GPU only the last: a check waits for the device.
    """
    last = len(timesteps) - 1
    for i, step in enumerate(steps, 1):
        xp = namespace(step.x)
        if (xp is np or i == last) and not to_host(xp.isfinite(step.x).all()):
            raise InputError(
                f"{'step' if xp is np else 'a step up to'} {i} of {last}, from "
                f"t = {timesteps[i - 1]:g} to {timesteps[i]:g}, gave values that are not finite: "
                "check the denoiser's estimates there, or take shorter steps"
            )
        yield step
