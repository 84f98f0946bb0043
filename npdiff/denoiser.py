r"""Denoisers: functions that estimate the clean data and the noise in x_t.

A *denoiser* is any function ``denoise(x, t) -> (x0_hat, eps_hat)`` with
``x = alpha_t x0_hat + sigma_t eps_hat``. Samplers and guidance call nothing else, so a network, a
closed form (:mod:`npdiff.exact`) and a guided pair of networks are interchangeable.

Two words that look alike: ``t`` is the schedule's time, and ``timesteps`` is the array of times
that a sampler visits; ``timestep`` is the number that the network's time embedding receives.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.errors import InputError
from npdiff.parameterization import Parameterization
from npdiff.pullback import forward_only
from npdiff.schedules import Schedule, Times

#: Maps (x, t) to (x0_hat, eps_hat); t > 0 is a scalar or an (N,) array, on the host.
Denoise = Callable[[Array, Times], tuple[Array, Array]]

#: Maps (x, timestep) to an output of the shape of x; timestep is an (N,) array on x's backend.
Network = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Denoiser:
    """The denoiser of a network: its output converted to x0_hat and eps_hat.

    Parameters
    ----------
    network : maps (x, timestep) to an output of the shape of x
    schedule : Schedule
    parameterization : what the output means
    """

    network: Network
    schedule: Schedule
    parameterization: Parameterization

    def __repr__(self) -> str:
        network = getattr(self.network, "__name__", type(self.network).__name__)
        return f"Denoiser({network}, {self.parameterization.name!r}, {self.schedule!r})"

    def __call__(self, x: Array, t: Times) -> tuple[Array, Array]:
        """The estimates x0_hat and eps_hat at (x, t).

        Parameters
        ----------
        x : (N, ...) array
        t : time, a scalar or (N,), on the host

        Returns
        -------
        x0_hat, eps_hat : arrays of the shape and dtype of ``x``

        Raises
        ------
        InputError
            If the network's output does not have the shape of ``x``.
        """
        output = self.network(
            self.parameterization.network_input(self.schedule, x, t), timestep(self.schedule, x, t)
        )
        if output.shape != x.shape:
            raise InputError(
                f"the network's output has shape {tuple(output.shape)}, expected "
                f"{tuple(x.shape)}, the shape of its input"
            )
        return self.parameterization.solve(self.schedule, x, output, t)


def timestep(schedule: Schedule, x: Array, t: Times) -> Array:
    """The timestep of each sample of ``x``, for the network's time embedding.

    An (N,) array of the dtype and backend of ``x``: ``schedule.timestep(t)``.
    """
    value = np.broadcast_to(schedule.timestep(t), x.shape[:1])
    return namespace(x).asarray(np.ascontiguousarray(value), dtype=x.dtype)


def inference_network(module: Callable[..., Any], **conditions: Any) -> Network:
    """A module as a network for sampling: forward only, its conditions bound.

    Parameters
    ----------
    module : called as ``module(x, timestep, **conditions)``, returns ``(output, pullback)``
    conditions : its other inputs: labels, a context

    Notes
    -----
    :func:`~npdiff.acceleration.frozen_weights` around the loop makes a long trajectory faster.
    """

    def network(x: Array, timestep: Array) -> Array:
        with forward_only():
            output, _ = module(x, timestep, **conditions)
        return output

    return network


def with_callback(denoise: Denoise, callback: Callable[[], None]) -> Denoise:
    """The same denoiser, which calls ``callback()`` before each evaluation (to count them)."""

    def denoise_and_call(x: Array, t: Times) -> tuple[Array, Array]:
        callback()
        return denoise(x, t)

    return denoise_and_call


def clip_x0(denoise: Denoise, schedule: Schedule, low: float = -1.0, high: float = 1.0) -> Denoise:
    r"""The denoiser with x0_hat clipped to the range of the data.

    .. math::
        :label: clipping

        \hat x_0 \leftarrow \min(\max(\hat x_0, \text{low}), \text{high}),
        \qquad
        \hat\epsilon \leftarrow \frac{x_t - \alpha_t \hat x_0}{\sigma_t}

    eps_hat is recomputed, so that alpha_t x0_hat + sigma_t eps_hat is still x_t.

    Notes
    -----
    In the program of Ho et al. 2020 and most others, not in the paper's algorithms.
    """

    def clipped(x: Array, t: Times) -> tuple[Array, Array]:
        x0_hat, _ = denoise(x, t)
        x0_hat = namespace(x).clip(x0_hat, low, high)
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        eps_hat = per_sample(1.0 / sigma, x) * x - per_sample(alpha / sigma, x) * x0_hat
        return x0_hat, eps_hat

    return clipped
