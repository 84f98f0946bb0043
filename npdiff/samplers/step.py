"""The contract that all samplers share, and the source of their noise."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.random import Key
from npdiff.schedules import Schedule

#: Maps the index of a draw to standard normal noise of the shape of x. Most samplers draw once per
#: step, and the index is that of the step.
Noise = Callable[[int], Array]


class Step(NamedTuple):
    """The result of one step of a sampler.

    Attributes
    ----------
    t : the time reached
    x : the state there
    x0_hat : the estimate of the data at the start of the step
    """

    t: float
    x: Array
    x0_hat: Array


Steps = Iterator[Step]


def intervals(timesteps: np.ndarray) -> Iterator[tuple[float, float]]:
    """The pairs (t, s) of neighboring timesteps as Python floats: each step goes from t to s."""
    return pairwise(np.asarray(timesteps, dtype=np.float64).tolist())


class Sampler(Protocol):
    """A function from a noisy state to an iterator over the steps of a trajectory to the data.

    Each sampler's own docstring documents its equation, its options and its count of evaluations.
    A sampler calls the denoiser, not the network, and keeps no random state. Whether time is
    discrete or continuous is a property of the schedule and the timesteps, not of the sampler.

    Parameters
    ----------
    denoise : maps (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x : (N, ...) floating-point array, the state at ``timesteps[0]``
    timesteps : host array of N + 1 strictly descending times for N steps, usually from ``t_max``
        to 0 (:mod:`npdiff.spacings`). They are times t of the schedule; the network's time
        embedding receives ``schedule.timestep(t)``
    noise : maps the index of a draw to standard normal noise. Deterministic samplers accept and
        ignore it
    options : the sampler's own, by keyword

    Yields
    ------
    Step
        Of the dtype and backend of ``x``. The last step's ``x`` is the sample.

    Raises
    ------
    InputError
        At the first step, if an option is out of range, or the sampler is stochastic and ``noise``
        is None.
    """

    def __call__(
        self,
        denoise: Denoise,
        schedule: Schedule,
        x: Array,
        timesteps: np.ndarray,
        *,
        noise: Noise | None = None,
        **options: Any,
    ) -> Steps: ...


def draw(noise: Noise | None, i: int, x: Array) -> Array:
    """The noise of index ``i``, with the dtype and backend of ``x``.

    Raises
    ------
    InputError
        If ``noise`` is None, or the noise does not have the shape of ``x``.
    """
    if noise is None:
        raise InputError(
            "this sampler is stochastic and needs noise: pass noise=keyed_noise(key, x), "
            "or choose a deterministic sampler (ddim with eta=0, euler, heun)"
        )
    z = noise(i)
    if z.shape != x.shape:
        raise InputError(f"the noise has shape {tuple(z.shape)}, expected {tuple(x.shape)}")
    return namespace(x).asarray(z, dtype=x.dtype)


def keyed_noise(key: Key, x: Array) -> Noise:
    """Noise that depends only on the key's seed, stream and samples and on the index of the draw.

    Parameters
    ----------
    key : with one sample for each of ``x``; its own step is ignored
    x : the state, for its shape, dtype and backend
    """

    def noise(i: int) -> Array:
        xp = namespace(x)
        return replace(key, step=i).normal(x.shape[1:], xp).astype(x.dtype)

    return noise
