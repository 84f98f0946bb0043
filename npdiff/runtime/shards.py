"""Shards: a batch divided into a fixed number of samples at a time.

The size of a shard belongs to the configuration and results are added in the order of the shards,
so a result is the same to the last bit for any number of threads. Small shards also keep a
network's activations in the cache.
"""

from collections.abc import Callable
from typing import Any, Protocol

from npdiff.acceleration import idle_threads
from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.pullback import forward_only
from npdiff.runtime.threads import ThreadPool
from npdiff.slices import split_range


class Reduction(Protocol):
    """Sums the gradients of machines that train one network, each on separate shards."""

    def total(self, part: Array) -> Array:
        """The sum of every machine's ``part``, the same bits on each; may overwrite ``part``.

        Every machine calls this equally often, with arrays of the same shapes in the same order.
        """
        ...


class SingleMachine:
    """The reduction for one machine: its part is the sum."""

    def total(self, part: Array) -> Array:
        """``part`` itself."""
        return part


SINGLE_MACHINE = SingleMachine()


def forward(
    module: Callable[..., Any],
    x: Array,
    timestep: Array,
    *,
    workers: ThreadPool,
    size: int,
    **conditions: Any,
) -> Array:
    """The output of ``module`` without its pullback, computed shard by shard.

    Parameters
    ----------
    module : called as ``module(x, timestep, **conditions)``, returns ``(y, pullback)``
    x : ``(N, ...)`` array
    timestep : scalar or ``(N,)`` array
    workers, size : the threads, and the number of samples in a shard
    conditions : arrays of length N are divided like ``x``; anything else is passed on unchanged

    Raises
    ------
    InputError
        If ``x`` has no samples.
    """
    count = x.shape[0]
    if count == 0:
        raise InputError(f"expected one sample or more, got an array of shape {tuple(x.shape)}")

    def part(value: Any, shard: slice) -> Any:
        per_sample = getattr(value, "shape", ())[:1] == (count,)
        return value[shard] if per_sample else value

    def run(shard: slice) -> Array:
        own = {name: part(value, shard) for name, value in conditions.items()}
        with forward_only():
            y, _ = module(x[shard], part(timestep, shard), **own)
        return y

    if count < workers.threads:  # some threads would be idle: kernels may divide large operations
        with workers.one_blas_thread(), idle_threads(workers.as_idle()):
            return run(slice(0, count))
    return namespace(x).concatenate(workers.map(run, split_range(count, size)))
