"""The way from noise to samples, moment by moment."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np

from npdiff import tree
from npdiff.backend import Array, module, per_sample
from npdiff.denoiser import heard
from npdiff.generate.network import denoiser, remembering
from npdiff.generate.settings import Settings
from npdiff.grids import GRIDS
from npdiff.random import Key
from npdiff.samplers import Steps, keyed_noise, sample
from npdiff.schedules import SCHEDULES, Schedule
from npdiff.train.memory import memory_explained
from npdiff.train.shards import Workers
from npdiff.train.weights import Trained


class Frame(NamedTuple):
    """A moment of sampling.

    Attributes
    ----------
    t : the time
    x : the state at that time
    x_0 : the estimate of the data made from it
    """

    t: float
    x: Array
    x_0: Array


def trajectory(
    trained: Trained,
    labels: np.ndarray | None,
    indices: np.ndarray,
    settings: Settings,
    *,
    seed: int,
    workers: Workers,
    backend: str = "numpy",
    asked: Callable[[], None] | None = None,
) -> Iterator[Frame]:
    """The way from noise to samples: one frame more than there are steps.

    Parameters
    ----------
    trained : from :func:`~npdiff.generate.load`
    labels, indices : of each sample, from :func:`~npdiff.generate.places`
    settings : how they are made
    seed : of the noise
    workers : the threads on which the network runs
    backend : where the arrays live
    asked : called whenever the sampler asks the denoiser

    Returns
    -------
    iterator of Frame; the last one's ``x`` are the samples

    Raises
    ------
    InputError
        Before the first step, if a setting cannot be used.
    """
    schedule = remembering(SCHEDULES[trained.config.schedule]())
    times = GRIDS[settings.grid](schedule, settings.steps)
    key = Key(seed, indices, stream="sample")
    x = start(key, schedule, trained, times[0], module(backend))
    denoise = denoiser(trained, labels, settings, schedule, workers=workers, backend=backend)
    noise = keyed_noise(key.fold("step"), x)
    if asked is not None:
        denoise = heard(denoise, asked)
    steps = sample(settings.sampler, denoise, schedule, x, times, noise, **settings.options)
    return film(float(times[0]), x, steps)


def enough_memory(samples: int, backend: str) -> AbstractContextManager[None]:
    """Where a trajectory is followed: if memory runs out in this block, what to do is said."""
    fewer = "" if backend == "cupy" else ", or fewer threads (NPDIFF_THREADS=1)"
    plural = "" if samples == 1 else "s"
    return memory_explained(
        backend, f"sampling of {samples} image{plural}", f"fewer at a time{fewer}"
    )


def film(t: float, x: Array, steps: Steps) -> Iterator[Frame]:
    """The frames of a sampler that starts from ``x`` at ``t``; a sample is its own estimate."""
    for step in steps:
        yield Frame(t, x, step.x_0)
        t, x = step.t, step.x
    yield Frame(t, x, x)


def start(key: Key, schedule: Schedule, trained: Trained, t: float, xp: Any) -> Array:
    """Where sampling begins: noise of the standard deviation that the process has at ``t``."""
    noise = key.fold("start").normal(trained.config.shape, xp)
    dtype = tree.leaves(trained.model)[0].dtype
    return (per_sample(schedule.sigma(t), noise) * noise).astype(dtype)
