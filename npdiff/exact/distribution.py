"""What is known in closed form of a distribution of data, at every time."""

from abc import ABC, abstractmethod

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.random import Key
from npdiff.schedules import Schedule, Times


class Distribution(ABC):
    """A distribution of data and its marginals q(x_t) under any schedule."""

    @abstractmethod
    def denoised(self, schedule: Schedule, x: Array, t: Times) -> Array:
        """E[x_0 | x_t = x], of the shape of ``x``."""

    @abstractmethod
    def log_density(self, schedule: Schedule, x: Array, t: Times) -> Array:
        """log q(x_t = x) in nats, (N,); at t = 0 the likelihood of data."""

    @abstractmethod
    def flow(self, schedule: Schedule, x: Array, t: float, s: float) -> Array:
        """Where the probability-flow ODE carries x from time t to time s, either way."""

    @abstractmethod
    def sample(self, key: Key) -> np.ndarray:
        """(N, D) samples, float64 on the host: one for each of the key's samples."""

    def score(self, schedule: Schedule, x: Array, t: Times) -> Array:
        r"""The score of q(x_t), by Tweedie's formula; for t > 0.

        .. math::
            :label: tweedie

            \nabla_{x} \log q_t(x) = \frac{\alpha_t\, \mathbb E[x_0 \mid x_t = x] - x}{\sigma_t^2}

        Notes
        -----
        Robbins 1956; Efron 2011.
        """
        alpha, precision = schedule.alpha(t), schedule.sigma(t) ** -2
        x_0 = self.denoised(schedule, x, t)
        return per_sample(alpha * precision, x) * x_0 - per_sample(precision, x) * x

    def denoiser(self, schedule: Schedule) -> Denoise:
        """The perfect denoiser: (E[x_0 | x_t], E[eps | x_t]); for t > 0."""

        def denoise(x: Array, t: Times) -> tuple[Array, Array]:
            alpha, sigma = schedule.alpha(t), schedule.sigma(t)
            x_0 = self.denoised(schedule, x, t)
            return x_0, per_sample(1.0 / sigma, x) * x - per_sample(alpha / sigma, x) * x_0

        return denoise


def beside(a: np.ndarray, x: Array) -> Array:
    """A host array where ``x`` is, in the dtype of ``x``."""
    return namespace(x).asarray(a, dtype=x.dtype)


def flat(x: Array, size: int) -> Array:
    """``x`` as (N, D), of which D is checked."""
    rows = x.reshape(x.shape[0], -1)
    if rows.shape[1] != size:
        raise InputError(f"expected samples of {size} numbers, got {rows.shape[1]}")
    return rows
