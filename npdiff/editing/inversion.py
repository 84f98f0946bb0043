"""Encoding images as noise with a checkpoint: inversion, reconstruction, interpolation."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.denoiser import Denoise, with_callback
from npdiff.editing._model import Labels, on_backend, open_model, pixels
from npdiff.editing.interpolation import decode, encode, slerp
from npdiff.errors import InputError
from npdiff.generation import SamplingConfig
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runtime.progress import ProgressOption, progress_bar
from npdiff.schedules import Schedule


def invert(
    checkpoint: Checkpoint,
    images: np.ndarray,
    labels: Labels = None,
    *,
    corrections: int = 0,
    steps: int = 50,
    spacing: Any = "trailing",
    guidance: float = 1.0,
    threads: int | None = None,
    backend: str = "numpy",
    progress: ProgressOption = True,
) -> np.ndarray:
    """The noise from which DDIM samples the given images: their encodings.

    :func:`reconstruct` with the same settings is the inverse, in the limit of many steps or with
    ``corrections``. Nothing is random, and estimates are not clipped, because clipping has no
    inverse.

    Parameters
    ----------
    checkpoint, images, labels, threads, backend, progress : as for
        :func:`~npdiff.editing.inpaint`
    corrections : fixed-point iterations in each step (:func:`~npdiff.editing.encode`)
    steps, spacing, guidance : as in :class:`~npdiff.generation.SamplingConfig`; guidance above 1
        makes the inversion less exact

    Returns
    -------
    float32 array (N, H, W, C) on the host

    Raises
    ------
    InputError
        If images, labels or a setting do not fit the model.
    """
    config = SamplingConfig(steps=steps, spacing=spacing, guidance=guidance, clip=False)
    x_0 = pixels(images, checkpoint, backend)
    with open_model(checkpoint, labels, len(x_0), config, threads, backend) as model:
        return to_host(_encode(*model, x_0, corrections, progress))


def reconstruct(
    checkpoint: Checkpoint,
    encodings: np.ndarray,
    labels: Labels = None,
    *,
    steps: int = 50,
    spacing: Any = "trailing",
    guidance: float = 1.0,
    threads: int | None = None,
    backend: str = "numpy",
    progress: ProgressOption = True,
) -> np.ndarray:
    """The images that DDIM samples from given noise: the inverse of :func:`invert`.

    Parameters
    ----------
    encodings : (N, H, W, C) floats, the state at the first timestep
    checkpoint, labels, steps, spacing, guidance, threads, backend, progress : as for :func:`invert`

    Returns
    -------
    float32 array (N, H, W, C) on the host, not clipped
    """
    config = SamplingConfig(steps=steps, spacing=spacing, guidance=guidance, clip=False)
    x = on_backend(encodings, checkpoint, backend, "encodings")
    with open_model(checkpoint, labels, len(x), config, threads, backend) as model:
        return to_host(_decode(*model, x, progress))


def interpolate(
    checkpoint: Checkpoint,
    a: np.ndarray,
    b: np.ndarray,
    labels: Labels = None,
    *,
    weights: Sequence[float] | np.ndarray | int = 9,
    corrections: int = 0,
    steps: int = 50,
    spacing: Any = "trailing",
    guidance: float = 1.0,
    threads: int | None = None,
    backend: str = "numpy",
    progress: ProgressOption = True,
) -> np.ndarray:
    """Images between two images: their encodings are interpolated on a sphere and decoded.

    Parameters
    ----------
    checkpoint : from :func:`npdiff.load`
    a, b : (H, W, C) each, uint8 or floats in [-1, 1]
    labels : the classes of a and of b, or None; each result has the class of the nearer end
    weights : 0 for a, 1 for b, one for each result; or how many, evenly spaced from 0 to 1
    corrections, steps, spacing, guidance, threads, backend, progress : as for :func:`invert`

    Returns
    -------
    float32 array (K, H, W, C) on the host, one image for each weight

    Raises
    ------
    InputError
        If images, labels or a setting do not fit the model.
    """
    if isinstance(weights, int | np.integer):
        w = np.linspace(0.0, 1.0, int(weights))
    else:
        w = np.asarray(weights, dtype=np.float64)
    if w.ndim != 1 or not w.size:
        raise InputError(f"weights must be a 1-D sequence or a count, got shape {w.shape}")
    if np.shape(a) != np.shape(b):
        raise InputError(f"a and b must have one shape, got {np.shape(a)} and {np.shape(b)}")
    x_0 = pixels(np.stack([a, b]), checkpoint, backend)
    config = SamplingConfig(steps=steps, spacing=spacing, guidance=guidance, clip=False)
    with open_model(checkpoint, labels, 2, config, threads, backend) as model:
        ends = _encode(*model, x_0, corrections, progress)
    between = None if labels is None else np.asarray(labels)[np.round(w).clip(0, 1).astype(int)]
    first, second = (ends[i : i + 1].repeat(w.size, axis=0) for i in (0, 1))
    with open_model(checkpoint, between, w.size, config, threads, backend) as model:
        return to_host(_decode(*model, slerp(first, second, w), progress))


def _encode(
    denoise: Denoise,
    schedule: Schedule,
    timesteps: np.ndarray,
    x_0: Array,
    corrections: int,
    progress: ProgressOption,
) -> Array:
    total = (len(timesteps) - 1) * (1 + corrections)
    with progress_bar(total, "evaluation", "encoding", progress=progress) as bar:
        counted = with_callback(denoise, _tick(bar.update))
        return encode(counted, schedule, x_0, timesteps, corrections=corrections)


def _decode(
    denoise: Denoise, schedule: Schedule, timesteps: np.ndarray, x: Array, progress: ProgressOption
) -> Array:
    with progress_bar(len(timesteps) - 1, "evaluation", "decoding", progress=progress) as bar:
        counted = with_callback(denoise, _tick(bar.update))
        return decode(counted, schedule, x, timesteps)


def _tick(update: Callable[[], object]) -> Callable[[], None]:
    def tick() -> None:
        update()

    return tick
