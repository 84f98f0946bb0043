"""The way from noise to samples, moment by moment."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np

from npdiff import tree
from npdiff.backend import Array, module, per_sample
from npdiff.denoiser import with_callback
from npdiff.generation.config import SamplingConfig
from npdiff.generation.network import cached, denoiser
from npdiff.random import Key
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runtime.memory import explain_memory_errors
from npdiff.runtime.threads import ThreadPool
from npdiff.samplers import Steps, keyed_noise, sample
from npdiff.schedules import SCHEDULES, Schedule
from npdiff.spacings import SPACINGS


class Frame(NamedTuple):
    """A moment of sampling.

    Attributes
    ----------
    t : the time
    x : the state at that time
    x0_hat : the estimate of the data made from it
    """

    t: float
    x: Array
    x0_hat: Array


def trajectory(
    checkpoint: Checkpoint,
    labels: np.ndarray | None,
    indices: np.ndarray,
    settings: SamplingConfig,
    *,
    seed: int,
    workers: ThreadPool,
    backend: str = "numpy",
    asked: Callable[[], None] | None = None,
) -> Iterator[Frame]:
    """The way from noise to samples: one frame more than there are steps.

    Parameters
    ----------
    checkpoint : from :func:`~npdiff.generation.load`
    labels, indices : of each sample, from :func:`~npdiff.generation.resolve_labels`
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
    schedule = cached(SCHEDULES[checkpoint.config.schedule]())
    timesteps = SPACINGS[settings.spacing](schedule, settings.steps)
    key = Key(seed, indices, stream="sample")
    x = start(key, schedule, checkpoint, timesteps[0], module(backend))
    denoise = denoiser(checkpoint, labels, settings, schedule, workers=workers, backend=backend)
    noise = keyed_noise(key.fold("step"), x)
    if asked is not None:
        denoise = with_callback(denoise, asked)
    steps = sample(settings.sampler, denoise, schedule, x, timesteps, noise, **settings.options)
    return frames_of(float(timesteps[0]), x, steps)


def enough_memory(samples: int, backend: str) -> AbstractContextManager[None]:
    """Where a trajectory is followed: if memory runs out in this block, what to do is said."""
    fewer = "" if backend == "cupy" else ", or fewer threads (NPDIFF_THREADS=1)"
    plural = "" if samples == 1 else "s"
    return explain_memory_errors(
        backend, f"sampling of {samples} image{plural}", f"fewer at a time{fewer}"
    )


def frames_of(t: float, x: Array, steps: Steps) -> Iterator[Frame]:
    """The frames of a sampler that starts from ``x`` at ``t``; a sample is its own estimate."""
    for step in steps:
        yield Frame(t, x, step.x0_hat)
        t, x = step.t, step.x
    yield Frame(t, x, x)


def start(key: Key, schedule: Schedule, checkpoint: Checkpoint, t: float, xp: Any) -> Array:
    """Where sampling begins: noise of the standard deviation that the process has at ``t``."""
    noise = key.fold("start").normal(checkpoint.config.shape, xp)
    dtype = tree.leaves(checkpoint.model)[0].dtype
    return (per_sample(schedule.sigma(t), noise) * noise).astype(dtype)
