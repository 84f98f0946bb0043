"""Clipping, AdamW and the moving average in one launch over flat arrays."""

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.kernels.cuda.device import Device, device_of
from npdiff.kernels.cuda.program import THREADS, Program, grid
from npdiff.kernels.vectors import Vectors


def step_scalars(
    step: int, *, learning_rate: float, betas: tuple[float, float], average_decay: float
) -> np.ndarray:
    """The scalars of a step for :func:`launch`: ``(4,)`` float64, on the host.

    Learning rate, 1 - beta_1^n, 1 - beta_2^n, and the decay of the average.
    """
    beta_1, beta_2 = betas
    return np.array([learning_rate, 1.0 - beta_1**step, 1.0 - beta_2**step, average_decay])


def launch(
    device: Device,
    old: Vectors,
    gradient: Array,
    new: Vectors,
    scalars: Array,
    clip_factor: Array,
    *,
    decayed: int,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> None:
    """Write the state after a step to ``new``; the scalars of the step are on the device.

    Parameters
    ----------
    old, gradient, new, decayed, betas, eps, weight_decay : as in
        :func:`npdiff.kernels.adamw.adamw`
    scalars : from :func:`step_scalars`, on the device
    clip_factor : the factor of the gradient, a float64 scalar on the device
    """
    size = gradient.size
    device.launch(
        Program("training", gradient.dtype.name), "adamw", grid(size), THREADS,
        *old, gradient, *new, scalars, clip_factor, np.int64(size), np.int64(decayed),
        *map(float, (*betas, eps, weight_decay)),
    )  # fmt: skip


def adamw(
    old: Vectors,
    gradient: Array,
    new: Vectors,
    *,
    step: int,
    learning_rate: float,
    betas: tuple[float, float],
    weight_decay: float,
    decayed: int,
    clip_factor: float,
    average_decay: float,
    eps: float = 1e-8,
) -> bool:
    """See :func:`npdiff.kernels.adamw.adamw`; returns False, and does nothing, without a GPU."""
    device = device_of(gradient, *old, *new)
    if device is None or gradient.size == 0:
        return False
    xp = namespace(gradient)
    scalars = step_scalars(
        step, learning_rate=learning_rate, betas=betas, average_decay=average_decay
    )
    launch(
        device, old, gradient, new, xp.asarray(scalars),
        xp.full((), clip_factor, dtype=xp.float64),
        decayed=decayed, betas=betas, eps=eps, weight_decay=weight_decay,
    )  # fmt: skip
    return True
