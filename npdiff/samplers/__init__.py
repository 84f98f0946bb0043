"""Samplers: generators that carry noise to data, one step after the other.

A sampler is ``sampler(denoise, schedule, x, timesteps, *, noise=None, **options)``. It knows nothing of
networks and draws no random numbers of its own; whether time is discrete or continuous is a
property of the schedule and the grid. The last step's ``x`` is the sample.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers._ddim import ddim, ddim_inversion
from npdiff.samplers._ddpm import ddpm
from npdiff.samplers._deis import deis
from npdiff.samplers._dpm_solver import dpm_solver, dpm_solver_multistep
from npdiff.samplers._dpmpp_sde import dpmpp_sde
from npdiff.samplers._edm import edm
from npdiff.samplers._lms import lms
from npdiff.samplers._pndm import plms, pndm
from npdiff.samplers._unipc import unipc
from npdiff.samplers.adaptive import adaptive_ode
from npdiff.samplers.ancestral import dpm2_ancestral, euler_ancestral
from npdiff.samplers.dpmpp import dpmpp_2s, dpmpp_multistep
from npdiff.samplers.guard import check_options, check_state, checked_times, defaults, watched
from npdiff.samplers.langevin import predictor_corrector
from npdiff.samplers.ode import euler, heun
from npdiff.samplers.sde import euler_maruyama
from npdiff.samplers.step import Noise, Step, Steps, keyed_noise
from npdiff.schedules import Schedule

__all__ = [
    "SAMPLERS",
    "Noise",
    "Step",
    "Steps",
    "adaptive_ode",
    "ddim",
    "ddim_inversion",
    "ddpm",
    "deis",
    "dpm2_ancestral",
    "dpm_solver",
    "dpm_solver_multistep",
    "dpmpp_2s",
    "dpmpp_multistep",
    "dpmpp_sde",
    "edm",
    "euler",
    "euler_ancestral",
    "euler_maruyama",
    "heun",
    "keyed_noise",
    "lms",
    "options_of",
    "plms",
    "pndm",
    "predictor_corrector",
    "sample",
    "unipc",
]

#: Samplers by name.
SAMPLERS: dict[str, Callable[..., Steps]] = {
    "ddpm": ddpm,
    "ddim": ddim,
    "euler": euler,
    "heun": heun,
    "edm": edm,
    "dpm-solver": dpm_solver,
    "dpm-solver-multistep": dpm_solver_multistep,
    "dpmpp-2s": dpmpp_2s,
    "dpmpp-multistep": dpmpp_multistep,
    "dpmpp-sde": dpmpp_sde,
    "unipc": unipc,
    "deis": deis,
    "plms": plms,
    "pndm": pndm,
    "lms": lms,
    "euler-ancestral": euler_ancestral,
    "dpm2-ancestral": dpm2_ancestral,
    "predictor-corrector": predictor_corrector,
    "euler-maruyama": euler_maruyama,
    "ode": adaptive_ode,
}


def options_of(name: str) -> dict[str, Any]:
    """The options that are a sampler's own, with their defaults.

    >>> options_of("ddim")
    {'eta': 0.0}

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if name not in SAMPLERS:
        raise InputError(f"unknown sampler {name!r}: choose one of {', '.join(SAMPLERS)}")
    return defaults(SAMPLERS[name])


def sample(
    name: str,
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    noise: Noise | None = None,
    **options: Any,
) -> Steps:
    """The steps of the sampler called ``name``, after a look at what it was given.

    Parameters
    ----------
    name : a key of :data:`SAMPLERS`
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x : (N, ...) floating-point array, the state at ``timesteps[0]``
    timesteps : strictly descending host array within the schedule, two times or more
    noise : from the index of a draw to standard normal noise, for stochastic samplers
    options : the sampler's own, as :func:`options_of` lists them

    Returns
    -------
    iterator of Step

    Raises
    ------
    InputError
        Before the first step, if the name, an option's name or kind, the state or the times cannot
        be used. At the first step, if an option is out of its range or noise is missing. Later, if
        a step leads to numbers that are not finite: at once on NumPy, at the end on a device.
    """
    check_options(name, options_of(name), options)
    timesteps = checked_times(schedule, timesteps)
    check_state(x)
    steps = SAMPLERS[name](denoise, schedule, x, timesteps, noise=noise, **options)
    return watched(steps, timesteps)
