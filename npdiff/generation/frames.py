"""Trajectories: the states from noise to samples."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np

from npdiff import tree
from npdiff.backend import Array, module, per_sample
from npdiff.denoiser import with_callback
from npdiff.errors import InputError
from npdiff.generation.config import SamplingConfig
from npdiff.generation.network import PredictedVariance, denoiser
from npdiff.random import Key
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runtime.memory import explain_memory_errors
from npdiff.runtime.threads import ThreadPool
from npdiff.samplers import SAMPLERS, Steps, keyed_noise, sample
from npdiff.schedules import Schedule
from npdiff.variances import VARIANCES


class Frame(NamedTuple):
    """One state of a trajectory.

    Attributes
    ----------
    t : the time
    x : the state at that time
    x0_hat : the estimate of the data at that state
    """

    t: float
    x: Array
    x0_hat: Array


def trajectory(
    checkpoint: Checkpoint,
    labels: np.ndarray | None,
    indices: np.ndarray,
    config: SamplingConfig,
    *,
    seed: int,
    workers: ThreadPool,
    backend: str = "numpy",
    callback: Callable[[], None] | None = None,
) -> Iterator[Frame]:
    """The states of a sampler from noise to samples: one more than the number of steps.

    Parameters
    ----------
    checkpoint : from :func:`~npdiff.generation.load`
    labels, indices : of each sample, from :func:`~npdiff.generation.resolve_labels`
    config : the sampler and its settings
    seed : of the noise
    workers : the threads that run the network
    backend : where the arrays live
    callback : called at every evaluation of the denoiser

    Returns
    -------
    iterator of Frame; the last frame's ``x`` are the samples

    Raises
    ------
    InputError
        Before the first step, if the configuration does not fit the model.
    """
    schedule = checkpoint.schedule
    timesteps = config.timesteps(schedule)
    key = Key(seed, indices, stream="sample")
    x = start(key, schedule, checkpoint, timesteps[0], module(backend))
    sampler, options = config.sampler, config.options
    learned = learned_variance(checkpoint, config, schedule, len(indices))
    if learned is not None:
        sampler, options = SAMPLERS.split(sampler, **options)
        options["variance"] = learned
    denoise = denoiser(
        checkpoint, labels, config, schedule, workers=workers, backend=backend, learned=learned
    )
    noise = keyed_noise(key.fold("step"), x)
    if callback is not None:
        denoise = with_callback(denoise, callback)
    steps = sample(sampler, denoise, schedule, x, timesteps, noise, **options)
    return frames_of(float(timesteps[0]), x, steps)


def learned_variance(
    checkpoint: Checkpoint, config: SamplingConfig, schedule: Schedule, samples: int
) -> PredictedVariance | None:
    """The variance of the network, if the sampler's option ``variance`` is ``"learned"``.

    Raises
    ------
    InputError
        If the model was not trained with ``learn_variance``.
    """
    _, options = SAMPLERS.split(config.sampler, **config.options)
    if options.get("variance") != "learned":
        return None
    if not checkpoint.config.learn_variance:
        raise InputError(
            "variance 'learned' needs a model that was trained with learn_variance: choose "
            f"{' or '.join(VARIANCES)}"
        )
    return PredictedVariance(schedule, samples)


def enough_memory(samples: int, backend: str) -> AbstractContextManager[None]:
    """A context manager that adds a remedy to memory errors while sampling."""
    fewer = "" if backend == "cupy" else ", or fewer threads (NPDIFF_THREADS=1)"
    plural = "" if samples == 1 else "s"
    return explain_memory_errors(
        backend, f"sampling of {samples} image{plural}", f"fewer at a time{fewer}"
    )


def frames_of(t: float, x: Array, steps: Steps) -> Iterator[Frame]:
    """The frames of a sampler that starts from ``x`` at ``t``; at t = 0 x0_hat is x."""
    for step in steps:
        yield Frame(t, x, step.x0_hat)
        t, x = step.t, step.x
    yield Frame(t, x, x)


def start(key: Key, schedule: Schedule, checkpoint: Checkpoint, t: float, xp: Any) -> Array:
    """The initial state: noise with the standard deviation of the process at ``t``."""
    noise = key.fold("start").normal(checkpoint.config.shape, xp)
    return (per_sample(schedule.sigma(t), noise) * noise).astype(tree.dtype(checkpoint.model))
