"""Samplers: generators that turn noise into data step by step.

A sampler is ``sampler(denoise, schedule, x, timesteps, *, noise=None, **options)`` and yields a
:class:`Step` per step; :class:`Sampler` documents the shared arguments. The last step's ``x`` is
the sample.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.options import spell
from npdiff.registry import Registry
from npdiff.samplers._ddim import ddim, ddim_inversion
from npdiff.samplers._ddpm import ddpm
from npdiff.samplers._deis import deis
from npdiff.samplers._dpm_solver import dpm_solver, dpm_solver_multistep
from npdiff.samplers._dpmpp_sde import dpmpp_sde
from npdiff.samplers._edm import edm
from npdiff.samplers._lms import lms
from npdiff.samplers._pndm import plms, pndm
from npdiff.samplers._predictor_corrector import predictor_corrector
from npdiff.samplers._unipc import unipc
from npdiff.samplers.adaptive import adaptive_ode
from npdiff.samplers.ancestral import dpm2_ancestral, euler_ancestral
from npdiff.samplers.checks import (
    check_finite,
    check_state,
    check_steps,
    check_timesteps,
)
from npdiff.samplers.dpmpp import dpmpp_2s, dpmpp_multistep
from npdiff.samplers.ode import euler, heun
from npdiff.samplers.sde import euler_maruyama
from npdiff.samplers.step import Noise, Sampler, Step, Steps, keyed_noise
from npdiff.schedules import Schedule, Times

__all__ = [
    "SAMPLERS",
    "Noise",
    "Sampler",
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
SAMPLERS: Registry[Callable[..., Steps], Callable[..., Steps]] = Registry(
    "sampler",
    "a generator function of (denoise, schedule, x, timesteps)",
    callable,
    {
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
    },
    common=("denoise", "schedule", "x", "timesteps", "noise"),
)


def options_of(sampler: str | Mapping[str, Any] | Callable[..., Steps]) -> dict[str, Any]:
    """The options of a sampler beyond the shared arguments, with their defaults.

    >>> options_of("ddim")
    {'eta': 0.0}

    Raises
    ------
    InputError
        If the name is unknown.
    """
    return SAMPLERS.options(sampler)


def sample(
    sampler: str | Mapping[str, Any] | Callable[..., Steps],
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    noise: Noise | None = None,
    **options: Any,
) -> Steps:
    """The steps of a sampler, with its arguments and results checked.

    Parameters
    ----------
    sampler : a name in :data:`SAMPLERS`, a dictionary of a name and options, or a function of
        ``(denoise, schedule, x, timesteps, **options)``; ``noise`` is passed if it takes it
    denoise, schedule, x, timesteps, noise : as for every :class:`Sampler`
    options : the sampler's own, as listed by :func:`options_of`

    Returns
    -------
    iterator of Step

    Raises
    ------
    InputError
        Before the first step, if a name, the type of an option, the state or the timesteps are
        invalid. At the first step, if an option is out of range or noise is missing. Later, if the
        sampler yields something else than steps to the last time, or a step's result is not
        finite: at once on NumPy, at the end on a GPU.
    """
    run, options = SAMPLERS.split(sampler, **options)
    timesteps = check_timesteps(schedule, timesteps)
    check_state(x)
    signature = inspect.signature(run)
    if any(p.name == "noise" or p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        options["noise"] = noise
    owner = spell(sampler)
    try:
        signature.bind(denoise, schedule, x, timesteps, **options)
    except TypeError as error:
        raise InputError(
            f"sampler {owner!r} must accept the call sampler(denoise, schedule, x, timesteps, "
            f"**options): {error}"
        ) from error
    steps = run(_in_dtype(denoise, x.dtype), schedule, x, timesteps, **options)
    return check_finite(check_steps(owner, steps, x, timesteps), timesteps)


def _in_dtype(denoise: Denoise, dtype: Any) -> Denoise:
    """``denoise`` with its states cast to the dtype of the network's weights."""

    def in_dtype(x: Array, t: Times) -> tuple[Array, Array]:
        return denoise(x if x.dtype == dtype else x.astype(dtype), t)

    return in_dtype
