"""A denoiser whose estimates depend on the state and the time of each sample."""

from typing import Any

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.schedules import Schedule, Times


def varying_denoiser(schedule: Schedule, slope: float, rate: float) -> Any:
    """A denoiser whose x0_hat depends on state and time, sample by sample.

    Its two estimates are consistent with the state: alpha x0_hat + sigma eps_hat = x_t.
    """

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        column = (-1, *(1,) * (x.ndim - 1))
        at = np.broadcast_to(schedule.time(t), x.shape[:1])
        wave, alpha, sigma = (
            namespace(x).asarray(value.reshape(column))
            for value in (np.sin(rate * at), schedule.alpha(at), schedule.sigma(at))
        )
        x_0 = slope * x + wave
        return x_0, (x - alpha * x_0) / sigma

    return denoise


def estimates(schedule: Schedule, x: np.ndarray, t: np.ndarray, x_0: np.ndarray) -> np.ndarray:
    """x0_hat, and the eps_hat that is consistent with the state."""
    alpha, sigma = (c(t).reshape(-1, 1, 1) for c in (schedule.alpha, schedule.sigma))
    return np.stack([x_0, (x - alpha * x_0) / sigma])
