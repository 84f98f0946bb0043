"""Samplers: generators that carry noise to data, one step after the other.

A sampler is ``sampler(denoise, schedule, x, times, *, noise=None, **options)``. It knows nothing of
networks and draws no random numbers of its own; whether time is discrete or continuous is a
property of the schedule and the grid. The last step's ``x`` is the sample.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers.ddim import ddim, ddim_inversion
from npdiff.samplers.ddpm import ddpm
from npdiff.samplers.ode import euler, heun
from npdiff.samplers.step import Noise, Step, Steps, keyed_noise
from npdiff.schedules import Schedule

__all__ = [
    "SAMPLERS",
    "Noise",
    "Step",
    "Steps",
    "ddim",
    "ddim_inversion",
    "ddpm",
    "euler",
    "heun",
    "keyed_noise",
    "options_of",
    "sample",
]

#: Samplers by name.
SAMPLERS: dict[str, Callable[..., Steps]] = {
    "ddpm": ddpm,
    "ddim": ddim,
    "euler": euler,
    "heun": heun,
}

_COMMON = ("denoise", "schedule", "x", "times", "noise")


def options_of(name: str) -> tuple[str, ...]:
    """The options that are a sampler's own.

    >>> options_of("ddim")
    ('eta',)

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if name not in SAMPLERS:
        raise InputError(f"unknown sampler {name!r}: choose one of {', '.join(SAMPLERS)}")
    return tuple(p for p in inspect.signature(SAMPLERS[name]).parameters if p not in _COMMON)


def sample(
    name: str,
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    times: np.ndarray,
    noise: Noise | None = None,
    **options: Any,
) -> Steps:
    """The steps of the sampler called ``name``, after a look at what it was given.

    Parameters
    ----------
    name : a key of :data:`SAMPLERS`
    denoise : from (x, t) to (x_0_hat, eps_hat)
    schedule : Schedule
    x : (N, ...) array, the state at ``times[0]``
    times : strictly descending host array within the schedule, two times or more
    noise : from the index of a step to standard normal noise, for stochastic samplers
    options : the sampler's own: ``variance`` for ddpm, ``eta`` for ddim

    Returns
    -------
    iterator of Step

    Raises
    ------
    InputError
        Before the first step, if the name, an option's name or the times cannot be used.
    """
    known = options_of(name)
    foreign = sorted(options.keys() - set(known))
    if foreign:
        has = f"its options are {', '.join(known)}" if known else "it has none"
        raise InputError(f"sampler {name!r} has no option {foreign[0]!r}: {has}")
    times = schedule.time(times)
    if times.ndim != 1 or times.size < 2:
        raise InputError("a grid is a row of at least two times")
    if not (np.diff(times) < 0.0).all():
        raise InputError("a grid's times descend strictly, from noise to data")
    return SAMPLERS[name](denoise, schedule, x, times, noise=noise, **options)
