"""Shared by the editing functions: images on a backend, a checkpoint as a denoiser."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from npdiff import data
from npdiff.backend import Array, module
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.generation import SamplingConfig, denoiser, enough_memory, resolve_labels
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runtime import ThreadPool
from npdiff.runtime.progress import ProgressOption, progress_bar
from npdiff.samplers import Steps
from npdiff.schedules import Schedule

Labels = Sequence[int] | np.ndarray | None


def sampling_config(
    config: SamplingConfig | None, settings: dict[str, Any], **defaults: Any
) -> SamplingConfig:
    """``config`` with the given fields replaced; without it, the defaults and the fields."""
    if config is None:
        return SamplingConfig(**{**defaults, **settings})
    return dataclasses.replace(config, **settings)


def pixels(images: np.ndarray, checkpoint: Checkpoint, backend: str) -> Array:
    """Images on the backend as float32 in [-1, 1], checked against the model's shape."""
    images = np.asarray(images)
    if images.dtype == np.uint8:
        images = data.to_float(images)
    elif images.dtype.kind != "f":
        raise InputError(f"images must be uint8 or floats in [-1, 1], got {images.dtype}")
    elif images.size and not np.abs(images).max() < 2.0:  # samples may lie slightly outside
        raise InputError(
            f"float images must be in [-1, 1], got values from {images.min():g} to "
            f"{images.max():g}: npdiff.data.to_float converts uint8"
        )
    return on_backend(images, checkpoint, backend, "images")


def on_backend(x: np.ndarray, checkpoint: Checkpoint, backend: str, name: str) -> Array:
    """An array of the model's shape on the backend as float32."""
    x, shape = np.asarray(x), tuple(checkpoint.config.shape)
    if x.shape[1:] != shape or not len(x):
        raise InputError(f"{name} must have shape {('N', *shape)}, got {x.shape}")
    return module(backend).asarray(x.astype(np.float32, copy=False))


@contextmanager
def open_model(
    checkpoint: Checkpoint,
    labels: Labels,
    count: int,
    config: SamplingConfig,
    threads: int | None,
    backend: str,
) -> Iterator[tuple[Denoise, Schedule, np.ndarray]]:
    """The denoiser of a checkpoint, its schedule and the timesteps, while its threads run."""
    labels, _ = resolve_labels(checkpoint, labels, count=count)
    schedule = checkpoint.schedule
    timesteps = config.timesteps(schedule)
    workers = ThreadPool(1 if backend == "cupy" else threads)
    with workers, enough_memory(count, backend):
        denoise = denoiser(checkpoint, labels, config, schedule, workers=workers, backend=backend)
        yield denoise, schedule, timesteps


def last_state(steps: Steps, total: int, description: str, progress: ProgressOption) -> Array:
    """The last state of a sampler; the progress bar counts steps toward the data."""
    x, t = None, np.inf
    with progress_bar(total, "step", description, progress=progress) as bar:
        for step in steps:
            if step.t < t:
                bar.update()
            x, t = step.x, step.t
    return x
