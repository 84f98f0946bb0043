"""TODO Checks of what denoisers made of denoisers ask: at which state, and at which times."""

from typing import Any

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.schedules import Schedule, Times


def speaker(schedule: Schedule, slope: float, rate: float) -> Any:
    """A denoiser whose estimate of the data depends on the state and on the time, sample by sample.

    Its two estimates add up to the state.
    """

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        column = (-1, *(1,) * (x.ndim - 1))
        at = np.broadcast_to(schedule.time(t), x.shape[:1])
        wave, alpha, sigma = (
            namespace(x).asarray(number.reshape(column))
            for number in (np.sin(rate * at), schedule.alpha(at), schedule.sigma(at))
        )
        x_0 = slope * x + wave
        return x_0, (x - alpha * x_0) / sigma

    return denoise


def said(schedule: Schedule, x: np.ndarray, t: np.ndarray, x_0: np.ndarray) -> np.ndarray:
    """The estimate of the data, and the noise that makes up the state with it."""
    alpha, sigma = (c(t).reshape(-1, 1, 1) for c in (schedule.alpha, schedule.sigma))
    return np.stack([x_0, (x - alpha * x_0) / sigma])
