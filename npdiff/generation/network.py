"""The denoiser of a trained model: the network on threads, guidance, clipping."""

from typing import Any

import numpy as np

from npdiff import tree
from npdiff.acceleration import WeightCache, frozen_weights
from npdiff.backend import Array, module
from npdiff.denoiser import Denoise, Denoiser, Network, clip_x0
from npdiff.generation.config import SamplingConfig
from npdiff.guidance import batched_cfg, dynamic_threshold, guidance_interval
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runtime.shards import forward
from npdiff.runtime.threads import ThreadPool
from npdiff.schedules import Schedule
from npdiff.variances import interpolated

#: The samples that a GPU evaluates at a time; more would only take memory.
GPU_ROWS = 1024


class PredictedVariance:
    """The variance that a network predicts with its output, for :func:`npdiff.samplers.ddpm`.

    Parameters
    ----------
    schedule : Schedule
    samples : N; in a guided batch of 2N the first N samples have the labels
    """

    def __init__(self, schedule: Schedule, samples: int) -> None:
        self.schedule, self.samples = schedule, samples
        self.v: Array = None

    def __call__(self, x: Array, s: float, t: float) -> Array | float:
        """The variance of the step from t to s, after the evaluation of the denoiser at (x, t)."""
        if self.schedule.sigma(s) == 0.0:
            return 0.0
        return interpolated(self.schedule, s, t, 0.5 * (self.v + 1.0))


def first_half(network: Network, learned: PredictedVariance | None) -> Network:
    """The first half of a network's output channels; ``learned`` stores the second half."""

    def first(x: Array, timestep: Array) -> Array:
        output, channels = network(x, timestep), x.shape[-1]
        if learned is not None:
            learned.v = output[: learned.samples, ..., channels:]
        return output[..., :channels]

    return first


def denoiser(
    checkpoint: Checkpoint,
    labels: np.ndarray | None,
    config: SamplingConfig,
    schedule: Schedule,
    *,
    workers: ThreadPool,
    backend: str = "numpy",
    learned: PredictedVariance | None = None,
) -> Denoise:
    """The denoiser of a trained model: guided towards the labels, its estimates clipped.

    The evaluations with and without the label are one batch of 2N, whose shards run on the threads.
    The weights must not be written to while the denoiser is in use. ``learned`` receives the part
    of the output that is the variance.
    """
    xp, w = module(backend), config.guidance
    model, cache = tree.map(xp.asarray, checkpoint.model), WeightCache()

    def unguided(chosen: np.ndarray | None) -> Denoise:
        conditions = {"labels": None if chosen is None else xp.asarray(chosen)}
        network = sharded(model, workers, checkpoint.config.shard, backend, cache, **conditions)
        if checkpoint.config.learn_variance:
            network = first_half(network, learned)
        return Denoiser(network, schedule, checkpoint.parameterization)

    if labels is None or w == 1.0:
        denoise = unguided(labels)
    else:
        null = np.full_like(labels, checkpoint.config.model["classes"])
        if w == 0.0 and config.rescale == 0.0:
            denoise = unguided(null)
        else:
            denoise = batched_cfg(unguided(np.append(labels, null)), schedule, w, config.rescale)
        if config.interval:
            denoise = guidance_interval(denoise, unguided(labels), schedule, *config.interval)
    if config.threshold is not None:
        return dynamic_threshold(denoise, schedule, config.threshold)
    return clip_x0(denoise, schedule) if config.clip else denoise


def sharded(
    model: Any,
    workers: ThreadPool,
    shard: int,
    backend: str,
    cache: WeightCache | None = None,
    **conditions: Any,
) -> Network:
    """The network for a :class:`~npdiff.denoiser.Denoiser`, its batch split over the threads.

    The weights must not change while it is in use: ``cache`` keeps the form in which kernels read
    them. Several networks with the same weights may share it.
    """
    cache = WeightCache() if cache is None else cache

    def network(x: Array, timestep: Array) -> Array:
        fair = -(-x.shape[0] // workers.threads)  # a small batch is split over all threads
        size = GPU_ROWS if backend == "cupy" else min(shard, fair)
        with frozen_weights(cache):
            return forward(model, x, timestep, workers=workers, size=size, **conditions)

    return network
