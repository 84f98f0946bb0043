"""Training examples: the noisy network input, its target, and the weight of the error."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.denoiser import timestep
from npdiff.errors import InputError
from npdiff.objective.loss_weights import ScheduleWeighting, output_weight
from npdiff.objective.time_samplers import TimeSampler, Uniform
from npdiff.objective.weightings import Weighting, simple
from npdiff.ops.loss import squared_error
from npdiff.parameterization import Parameterization
from npdiff.process import marginal
from npdiff.pullback import differentiable
from npdiff.random import Key
from npdiff.schedules import Schedule


class Example(NamedTuple):
    """A batch of training examples: network inputs, targets, and the weights of their errors.

    ``network_input`` (x_t times the input scale of the prediction type) and ``target`` are (N, ...)
    arrays; ``timestep`` and ``weight`` are (N,) arrays in the same array module. The times ``t``
    (on the host), ``eps`` and ``x_t`` from which they were made are included.
    """

    network_input: Array
    timestep: Array
    target: Array
    weight: Array
    t: np.ndarray
    eps: Array
    x_t: Array


@dataclass(frozen=True)
class Objective:
    """A training objective: schedule, prediction type, weighting and time sampler.

    Parameters
    ----------
    schedule : Schedule
    parameterization : the meaning of the network's output
    weighting : the weight of the squared error of eps: a function of log-SNR, or a
        ScheduleWeighting
    time_sampler : the distribution of the times
    """

    schedule: Schedule
    parameterization: Parameterization
    weighting: Weighting | ScheduleWeighting = field(default_factory=lambda: simple)
    time_sampler: TimeSampler = field(default_factory=Uniform)

    def draw_times(self, key: Key) -> np.ndarray:
        """One time per sample, (N,) on the host."""
        return self.time_sampler(self.schedule, key.fold("time"))

    def weights(self, t: np.ndarray) -> np.ndarray:
        """The weights of the squared errors at t; importance sampling divides by the density."""
        weights = output_weight(self.schedule, self.parameterization, self.weighting, t)
        if self.time_sampler.importance:
            weights = weights / self.time_sampler.density(self.schedule, t)
        return weights

    def example(self, x_0: Array, key: Key) -> Example:
        """A batch of examples: each sample of x_0 with a random time and random noise.

        Parameters
        ----------
        x_0 : (N, ...) array of data
        key : a key with N samples; it alone determines the draw

        Raises
        ------
        InputError
            If the key does not have N samples.
        """
        if len(key.samples) != x_0.shape[0]:
            raise InputError(
                f"x_0 has {x_0.shape[0]} samples and the key has {len(key.samples)}: "
                "make the key with one index per sample"
            )
        xp, t = namespace(x_0), self.draw_times(key)
        eps = key.fold("noise").normal(x_0.shape[1:], xp).astype(x_0.dtype)
        x_t = marginal(self.schedule, x_0, eps, t)
        return Example(
            network_input=self.parameterization.network_input(self.schedule, x_t, t),
            timestep=timestep(self.schedule, x_0, t),
            target=self.parameterization.target(self.schedule, x_0, eps, t),
            weight=xp.asarray(self.weights(t), dtype=x_0.dtype),
            t=t,
            eps=eps,
            x_t=x_t,
        )


@differentiable
def loss(output: Array, *, example: Example) -> tuple[Array, Callable[[Array], tuple[Array]]]:
    r"""The weighted squared error :eq:`squared-error` of a network's output.

    Parameters
    ----------
    output : array of the shape of ``example.target``
    example : the batch that the output belongs to

    Returns
    -------
    loss : scalar array, the mean over samples and elements
    pullback : from a scalar to ``(doutput,)``
    """
    return squared_error(output, target=example.target, weight=example.weight)


def sample_losses(output: Array, example: Example) -> Array:
    """The loss of each sample, (N,); :func:`loss` is their mean."""
    squares = (output - example.target) ** 2
    return example.weight * squares.reshape(squares.shape[0], -1).mean(axis=1)
