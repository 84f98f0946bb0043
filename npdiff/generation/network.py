"""A trained model as a sampler sees it. What does not depend on x is computed once, before."""

from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.acceleration import WeightCache, frozen_weights
from npdiff.backend import Array, module
from npdiff.denoiser import Denoise, Denoiser, Network, clip_x0, prefer_precomputed
from npdiff.generation.config import SamplingConfig
from npdiff.guidance import batched_cfg, dynamic_threshold, guidance_interval
from npdiff.nn import UNet
from npdiff.nn.precomputed import numbers, precompute
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runtime.shards import forward
from npdiff.runtime.threads import ThreadPool
from npdiff.schedules import Schedule, Times
from npdiff.spacings import SPACINGS

#: Rows that a GPU evaluates at a time: more only takes memory.
GPU_ROWS = 1024

#: Tables of more numbers than this are not made: 64 MiB of float32.
LARGEST_TABLES = 2**24


def denoiser(
    checkpoint: Checkpoint,
    labels: np.ndarray | None,
    settings: SamplingConfig,
    schedule: Schedule,
    *,
    workers: ThreadPool,
    backend: str = "numpy",
) -> Denoise:
    """The model as a sampler sees it: guided towards the labels, its estimates clipped.

    With and without the label are evaluated as one batch of 2N, whose shards run on the threads.
    At the times of the settings' grid a precompute network is asked, at others the model itself. The
    weights must not be written to as long as the denoiser is in use.
    """
    xp, parameterization, w = (
        module(backend),
        PARAMETERIZATIONS[checkpoint.config.prediction],
        settings.guidance,
    )
    model, forms = tree.map(xp.asarray, checkpoint.model), WeightCache()
    timesteps = SPACINGS[settings.spacing](schedule, settings.steps)[:-1]  # at 0 nobody has to ask

    def over(network: Any, **told: Any) -> Denoise:
        run = sharded(network, workers, checkpoint.config.shard, backend, forms, **told)
        return Denoiser(run, schedule, parameterization)

    def unguided(chosen: np.ndarray | None) -> Denoise:
        anywhere = over(model, labels=None if chosen is None else xp.asarray(chosen))
        rows = len(timesteps) * (1 if chosen is None else len(np.unique(chosen)))
        if not isinstance(model, UNet) or numbers(model, rows) > LARGEST_TABLES:
            return anywhere
        with workers.one_blas_thread():  # for a moment's work: more would only wait for each other
            network, told = precompute(model, schedule.timestep(timesteps), labels=chosen)
        return prefer_precomputed(over(network, **told), anywhere, timesteps)

    if labels is None or w == 1.0:
        denoise = unguided(labels)
    else:
        null = np.full_like(labels, checkpoint.config.model["classes"])
        if w == 0.0 and settings.rescale == 0.0:
            denoise = unguided(null)
        else:
            denoise = batched_cfg(unguided(np.append(labels, null)), schedule, w, settings.rescale)
        if settings.interval:
            denoise = guidance_interval(denoise, unguided(labels), schedule, *settings.interval)
    if settings.threshold is not None:
        return dynamic_threshold(denoise, schedule, settings.threshold)
    return clip_x0(denoise, schedule) if settings.clip else denoise


def sharded(
    model: Any,
    workers: ThreadPool,
    shard: int,
    backend: str,
    forms: WeightCache | None = None,
    **conditions: Any,
) -> Network:
    """The network for a :class:`~npdiff.denoiser.Denoiser`, its rows shared out to the threads.

    Its weights must stay as they are as long as it is in use: what kernels make of them is kept, in
    ``forms``, which several networks of the same weights may share.
    """
    forms = WeightCache() if forms is None else forms

    def network(x: Array, timestep: Array) -> Array:
        rows = -(-x.shape[0] // workers.threads)  # few rows: every thread gets some
        size = GPU_ROWS if backend == "cupy" else min(shard, rows)
        with frozen_weights(forms):
            return forward(model, x, timestep, workers=workers, size=size, **conditions)

    return network


#: What a schedule says of a time.
_SAYINGS = (
    *("log_alpha", "log_sigma", "log_snr", "alpha", "sigma", "timestep", "time_at"),
    *("log_alpha_dot", "log_sigma_dot", "alpha_dot", "sigma_dot", "drift", "diffusion"),
)


def cached(schedule: Schedule) -> Schedule:
    """The same schedule, which works out once what it says of a single time.

    A step asks a dozen times for the same few numbers, each of which costs as much as a small array
    does.
    """

    def once(saying: Callable[[Times], np.ndarray]) -> Callable[[Times], np.ndarray]:
        known: dict[float, np.ndarray] = {}

        @wraps(saying)
        def said(t: Times) -> np.ndarray:
            if not isinstance(t, float):  # as np.float64 is, and an array is not
                return saying(t)
            if t not in known:
                known[t] = saying(t)
            return known[t]

        return said

    own = copy(schedule)
    for name in _SAYINGS:
        setattr(own, name, once(getattr(own, name)))
    return own
