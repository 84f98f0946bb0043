r"""The bridge between networks and diffusion: a denoiser answers with the clean data and the noise.

A *denoiser* is any function ``denoise(x, t) -> (x0_hat, eps_hat)`` with
``x = alpha_t x0_hat + sigma_t eps_hat``. Samplers and guidance know nothing else: a network, a
closed form (:mod:`npdiff.exact`) and a guided pair of networks look the same to them.
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

#: From (x, t) to (x0_hat, eps_hat); t is a host scalar or an (N,) array, t > 0.
Denoise = Callable[[Array, Times], tuple[Array, Array]]

#: From (x, clock) to an output of the shape of x; clock is an (N,) array beside x.
Network = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Denoiser:
    """A network, read by a parameterization's row under a schedule.

    Parameters
    ----------
    network : from (x, clock) to an output of the shape of x
    schedule : Schedule
    parameterization : what the output means
    """

    network: Network
    schedule: Schedule
    parameterization: Parameterization

    def __call__(self, x: Array, t: Times) -> tuple[Array, Array]:
        """The estimates of data and noise at (x, t).

        Parameters
        ----------
        x : (N, ...) array
        t : time, a host scalar or (N,)

        Returns
        -------
        x0_hat, eps_hat : arrays of the shape and dtype of ``x``

        Raises
        ------
        InputError
            If the network's output has another shape than ``x``.
        """
        output = self.network(
            self.parameterization.network_input(self.schedule, x, t), timestep(self.schedule, x, t)
        )
        if output.shape != x.shape:
            raise InputError(
                f"the network answered with shape {tuple(output.shape)} to an input of shape "
                f"{tuple(x.shape)}: a denoiser's output has the shape of its input"
            )
        return self.parameterization.solve(self.schedule, x, output, t)


def timestep(schedule: Schedule, x: Array, t: Times) -> Array:
    """What a network is told of the time: an (N,) array of the dtype and backend of ``x``."""
    ticks = np.broadcast_to(schedule.timestep(t), x.shape[:1])
    return namespace(x).asarray(np.ascontiguousarray(ticks), dtype=x.dtype)


def inference_network(module: Callable[..., Any], **conditions: Any) -> Network:
    """A module without its pullback and with its conditions bound: a network for sampling.

    Parameters
    ----------
    module : called as ``module(x, timestep, **conditions)``, returns ``(output, pullback)``
    conditions : what else it is told: labels, a context

    Notes
    -----
    Two things make a long trajectory faster: a U-Net that was :func:`~npdiff.nn.precomputed.precompute`
    for the times of the grid, and :func:`~npdiff.acceleration.frozen_weights` around the loop.
    """

    def network(x: Array, timestep: Array) -> Array:
        with forward_only():
            output, _ = module(x, timestep, **conditions)
        return output

    return network


def prefer_precomputed(within: Denoise, elsewhere: Denoise, timesteps: np.ndarray) -> Denoise:
    """One denoiser at the times of a grid, which it may be prepared for, and another elsewhere.

    Parameters
    ----------
    within, elsewhere : the denoisers
    timesteps : host array; a time is one of them to the last bit, or elsewhere
    """
    known = frozenset(timesteps.tolist())

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        return (within if known.issuperset(np.ravel(t).tolist()) else elsewhere)(x, t)

    return denoise


def with_callback(denoise: Denoise, asked: Callable[[], None]) -> Denoise:
    """The same denoiser, which tells whenever it is asked: for those who count."""

    def denoise_heard(x: Array, t: Times) -> tuple[Array, Array]:
        asked()
        return denoise(x, t)

    return denoise_heard


def clip_x0(denoise: Denoise, schedule: Schedule, low: float = -1.0, high: float = 1.0) -> Denoise:
    r"""A denoiser whose estimate of the data keeps to their range.

    .. math::
        :label: clipping

        \hat x_0 \leftarrow \min(\max(\hat x_0, \text{low}), \text{high}),
        \qquad
        \hat\epsilon \leftarrow \frac{x_t - \alpha_t \hat x_0}{\sigma_t}

    The noise is derived anew, so that both still add up to x_t.

    Notes
    -----
    Not in the algorithms of Ho et al. 2020, but in their program and most others.
    """

    def denoise_clipped(x: Array, t: Times) -> tuple[Array, Array]:
        x_0, _ = denoise(x, t)
        x_0 = namespace(x).clip(x_0, low, high)
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        eps = per_sample(1.0 / sigma, x) * x - per_sample(alpha / sigma, x) * x_0
        return x_0, eps

    return denoise_clipped
