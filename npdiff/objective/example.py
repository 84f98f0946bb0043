"""Examples to train on: a noisy input, what to answer, and how much the answer counts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.denoiser import timestep
from npdiff.errors import InputError
from npdiff.objective.time_samplers import TimeSampler, Uniform
from npdiff.objective.units import Scheduled, weight
from npdiff.objective.weightings import Weighting, simple
from npdiff.ops.loss import squared_error
from npdiff.parameterization import Parameterization
from npdiff.process import marginal
from npdiff.pullback import differentiable
from npdiff.random import Key
from npdiff.schedules import Schedule


class Example(NamedTuple):
    """One batch of training: what the network sees, should answer, and how much that counts.

    ``network_input`` (x_t in the scale in which the row shows it to the network) and ``target`` are
    (N, ...) arrays, ``timestep`` and ``weight`` (N,) arrays beside them; ``t``, ``eps`` and ``x_t``
    are kept for those who watch.
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
    """What a network is trained on.

    Parameters
    ----------
    schedule : Schedule
    parameterization : what the network's output means
    weighting : of the squared error of eps, a function of log-SNR or a Scheduled
    time_sampler : how times are drawn
    """

    schedule: Schedule
    parameterization: Parameterization
    weighting: Weighting | Scheduled = field(default_factory=lambda: simple)
    time_sampler: TimeSampler = field(default_factory=Uniform)

    def draw_times(self, key: Key) -> np.ndarray:
        """One time a sample, on the host."""
        return self.time_sampler(self.schedule, key.fold("time"))

    def weights(self, t: np.ndarray) -> np.ndarray:
        """How much a sample's error counts at time t, importance sampling accounted for."""
        weights = weight(self.schedule, self.parameterization, self.weighting, t)
        if self.time_sampler.importance:
            weights = weights / self.time_sampler.density(self.schedule, t)
        return weights

    def example(self, x_0: Array, key: Key) -> Example:
        """A draw of time and noise for each sample.

        Parameters
        ----------
        x_0 : (N, ...) array of data
        key : with N samples; the draw is a function of it and nothing else

        Raises
        ------
        InputError
            If the key has another number of samples.
        """
        if len(key.samples) != x_0.shape[0]:
            raise InputError(f"{x_0.shape[0]} samples but a key for {len(key.samples)}")
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
    example : what it was asked

    Returns
    -------
    loss : scalar array, the mean over samples and elements
    pullback : from a scalar to ``(doutput,)``
    """
    return squared_error(output, target=example.target, weight=example.weight)


def sample_losses(output: Array, example: Example) -> Array:
    """The loss of each sample, (N,), of which :func:`loss` is the mean."""
    squares = (output - example.target) ** 2
    return example.weight * squares.reshape(squares.shape[0], -1).mean(axis=1)
