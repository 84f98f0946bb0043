"""Editing images with a checkpoint: inpainting and image to image."""

from typing import Any

import numpy as np

from npdiff.backend import module, to_host
from npdiff.editing._model import Labels, last_state, open_model, pixels, sampling_config
from npdiff.editing._sdedit import sdedit, start_index
from npdiff.editing.inpainting import broadcasts_to, denoising_steps, repaint
from npdiff.errors import InputError
from npdiff.generation import SamplingConfig, start
from npdiff.random import Key
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runtime.progress import ProgressOption
from npdiff.samplers import keyed_noise


def inpaint(
    checkpoint: Checkpoint,
    images: np.ndarray,
    labels: Labels = None,
    *,
    mask: np.ndarray,
    resamplings: int = 5,
    jump: int = 5,
    config: SamplingConfig | None = None,
    seed: int = 0,
    threads: int | None = None,
    backend: str = "numpy",
    progress: ProgressOption = True,
    **settings: Any,
) -> np.ndarray:
    """Images whose masked pixels are generated to fit the others, by RePaint.

    Parameters
    ----------
    checkpoint : from :func:`npdiff.load`
    images : (N, H, W, C), uint8 or floats in [-1, 1]; repeat an image for several results
    labels : a class for each image, or None
    mask : booleans of shape (H, W), (N, H, W) or one that broadcasts to (N, H, W, C), true where
        pixels are generated. (The denoiser-level :func:`~npdiff.editing.repaint` takes the paper's
        mask, true where they are known.)
    resamplings, jump : of :func:`~npdiff.editing.repaint`; ``resamplings=1`` only replaces the
        known pixels after every step
    config : how to sample; by default DDPM with 50 steps
    seed : of the noise
    threads : by default one for each CPU
    backend : ``"numpy"`` or ``"cupy"``
    progress : True shows a progress bar, False nothing; a function is called with (done, total)
    settings : fields of :class:`~npdiff.generation.SamplingConfig`: ``guidance=2.0, steps=100``

    Returns
    -------
    float32 array (N, H, W, C) on the host, in [-1, 1]; known pixels are as in ``images``

    Raises
    ------
    InputError
        If images, labels, mask or a setting do not fit the model.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> test = npdiff.data.load("digits", "test")
    >>> upper = np.arange(32)[:, None, None] < 16
    >>> npdiff.editing.inpaint(
    ...     npdiff.load(), test.images[:4], test.labels[:4], mask=upper, guidance=2.0
    ... ).shape  # doctest: +SKIP
    (4, 32, 32, 1)
    """
    config = sampling_config(config, settings, sampler="ddpm")
    known = pixels(images, checkpoint, backend)
    unknown = np.asarray(mask)
    if unknown.shape in (known.shape[1:-1], known.shape[:-1]):
        unknown = unknown[..., None]
    if unknown.dtype != bool or not broadcasts_to(unknown.shape, known.shape):
        raise InputError(
            f"mask must be boolean and broadcast to {known.shape}, true where pixels are "
            f"generated, got {unknown.dtype} of shape {unknown.shape}"
        )
    key = Key(seed, np.arange(len(known)), stream="inpaint")
    counts = {"jump": jump, "resamplings": resamplings}
    with open_model(checkpoint, labels, len(known), config, threads, backend) as model:
        denoise, schedule, timesteps = model
        x = start(key, schedule, checkpoint, timesteps[0], module(backend))
        steps = repaint(
            denoise, schedule, x, timesteps, known=known, mask=~unknown,
            noise=keyed_noise(key.fold("move"), x), sampler=config.sampler,
            **counts, **config.options,
        )  # fmt: skip
        total = denoising_steps(len(timesteps) - 1, **counts)
        return to_host(last_state(steps, total, "inpainting", progress))


def image_to_image(
    checkpoint: Checkpoint,
    images: np.ndarray,
    labels: Labels = None,
    *,
    strength: float = 0.5,
    config: SamplingConfig | None = None,
    seed: int = 0,
    threads: int | None = None,
    backend: str = "numpy",
    progress: ProgressOption = True,
    **settings: Any,
) -> np.ndarray:
    """Images that are noised and denoised again, by SDEdit: toward the labels, if there are any.

    Parameters
    ----------
    checkpoint, images, labels, config, seed, threads, backend, progress, settings : as for
        :func:`inpaint`; by default DDIM with 50 steps
    strength : the fraction of the steps that is taken, above 0 (nearly the image) up to 1 (a new
        sample)

    Returns
    -------
    float32 array (N, H, W, C) on the host, in [-1, 1] unless ``clip=False``

    Raises
    ------
    InputError
        If images, labels, the strength or a setting do not fit.
    """
    config = sampling_config(config, settings)
    x_0 = pixels(images, checkpoint, backend)
    noise = keyed_noise(Key(seed, np.arange(len(x_0)), stream="sdedit"), x_0)
    with open_model(checkpoint, labels, len(x_0), config, threads, backend) as model:
        denoise, schedule, timesteps = model
        total = len(timesteps) - 1 - start_index(timesteps, strength)
        steps = sdedit(
            denoise, schedule, x_0, timesteps, noise=noise, strength=strength,
            sampler=config.sampler, **config.options,
        )  # fmt: skip
        return to_host(last_state(steps, total, f"strength {strength:g}", progress))
