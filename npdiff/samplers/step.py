"""What every sampler yields, and where its noise comes from."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.random import Key

#: From the index of a step to standard normal noise of the shape of x.
Noise = Callable[[int], Array]


class Step(NamedTuple):
    """Where one step of a sampler led.

    Attributes
    ----------
    t : the time reached
    x : the state there
    x0_hat : the estimate of the data that the step was taken with
    """

    t: float
    x: Array
    x0_hat: Array


#: What a sampler is: an iterator over its steps.
Steps = Iterator[Step]


def draw(noise: Noise | None, i: int, x: Array) -> Array:
    """The noise of step ``i``, beside ``x`` and of its dtype.

    Raises
    ------
    InputError
        If there is no noise to draw from, or it has another shape than ``x``.
    """
    if noise is None:
        raise InputError(
            "this sampler is stochastic and was given no noise: pass noise=keyed_noise(key, x), "
            "or choose a deterministic sampler (ddim with eta=0, euler, heun)"
        )
    z = noise(i)
    if z.shape != x.shape:
        raise InputError(f"the noise has shape {tuple(z.shape)}, expected {tuple(x.shape)}")
    return namespace(x).asarray(z, dtype=x.dtype)


def keyed_noise(key: Key, x: Array) -> Noise:
    """Noise that is a function of the key's seed, stream and samples and of the step's index.

    Parameters
    ----------
    key : with one sample for each row of ``x``; its own step is not used
    x : the state, for its shape, dtype and backend
    """

    def noise(i: int) -> Array:
        xp = namespace(x)
        return replace(key, step=i).normal(x.shape[1:], xp).astype(x.dtype)

    return noise
