"""A batch in shards of a fixed number of samples, run on as many threads as the machine has.

The size of a shard belongs to the configuration and the results are summed in shard order, so what
is computed does not depend on the number of threads, to the last bit. Small shards also keep a
network's activations in cache.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, Self, TypeVar

from npdiff import tree
from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.pullback import forward_only

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")


def split(count: int, size: int) -> list[slice]:
    """The shards of ``count`` samples, ``size`` each; the last may be smaller.

    >>> split(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def thread_count() -> int:
    """The threads to use: ``NPDIFF_THREADS``, or else the CPUs this process may run on.

    Raises
    ------
    InputError
        If ``NPDIFF_THREADS`` is no integer from 1 up.
    """
    wanted = os.environ.get("NPDIFF_THREADS")
    if wanted is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if not (wanted.isascii() and wanted.isdigit() and int(wanted) >= 1):
        raise InputError(f"NPDIFF_THREADS must be an integer from 1 up, got {wanted!r}")
    return int(wanted)


def _probe() -> None:
    """What a pool is asked to run first, to see whether threads can be started at all."""


class Workers:
    """Threads that run one function over many shards; one after another where there are none.

    A context manager. While shards run, BLAS is held to one thread (where ``threadpoolctl`` is
    installed), and each shard runs in a copy of the caller's context, so that ``forward_only()``
    and the like reach it.

    Parameters
    ----------
    threads : how many; by default :func:`thread_count`. 1 starts none, which is what a GPU wants.
    """

    def __init__(self, threads: int | None = None) -> None:
        threads = thread_count() if threads is None else threads
        if threads < 1:
            raise InputError(f"the number of threads must be 1 or more, got {threads}")
        self._pool = self._start(threads) if threads > 1 else None
        self.threads = threads if self._pool else 1
        self._blas: Any = None

    @staticmethod
    def _start(threads: int) -> Any:
        try:
            from concurrent.futures import ThreadPoolExecutor

            pool = ThreadPoolExecutor(threads, thread_name_prefix="npdiff-shard")
            pool.submit(_probe).result()
        except (ImportError, RuntimeError):  # WebAssembly: there are no threads to start
            return None
        return pool

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    @contextmanager
    def one_blas_thread(self) -> Iterator[None]:
        """Hold BLAS to one thread within this block, and give it back what it had."""
        if self._blas is None:
            try:
                from threadpoolctl import ThreadpoolController
            except ImportError:
                self._blas = False
            else:
                self._blas = ThreadpoolController()
        if self._blas is False:
            yield
            return
        with self._blas.limit(limits=1, user_api="blas"):
            yield

    def map(self, f: Callable[[A], B], shards: Sequence[A]) -> list[B]:
        """``f`` of each shard, in the order of the shards.

        An error in a shard is raised here, and shards not yet begun are dropped.
        """
        return list(self._results(f, shards))

    def sum(self, f: Callable[[A], T], shards: Sequence[A]) -> T:
        """The sum of the trees that ``f`` returns, added up in the order of the shards."""
        results = self._results(f, shards)
        total = tree.map(lambda leaf: leaf.copy(), next(results))
        for result in results:
            total = tree.map(_accumulate, total, result)
        return total

    def _results(self, f: Callable[[A], B], shards: Sequence[A]) -> Iterator[B]:
        with self.one_blas_thread():
            if self._pool is None:
                yield from (f(shard) for shard in shards)
                return
            futures = deque(self._pool.submit(copy_context().run, f, shard) for shard in shards)
            try:
                while futures:
                    yield futures.popleft().result()
            finally:
                for future in futures:
                    future.cancel()


def _accumulate(total: Array, leaf: Array) -> Array:
    total += leaf
    return total


def forward(
    module: Callable[..., Any],
    x: Array,
    clock: Array,
    *,
    workers: Workers,
    size: int,
    **conditions: Any,
) -> Array:
    """The output of ``module`` without its pullback, computed shard by shard.

    Parameters
    ----------
    module : called as ``module(x, clock, **conditions)``, returns ``(y, pullback)``
    x : ``(N, ...)`` array
    clock : scalar or ``(N,)`` array
    workers, size : where to run, and how many samples at a time
    conditions : arrays with N rows are cut like ``x``; anything else is passed on whole
    """
    count = x.shape[0]

    def cut(value: Any, shard: slice) -> Any:
        rows = getattr(value, "shape", ())[:1] == (count,)
        return value[shard] if rows else value

    def run(shard: slice) -> Array:
        own = {name: cut(value, shard) for name, value in conditions.items()}
        with forward_only():
            y, _ = module(x[shard], cut(clock, shard), **own)
        return y

    return namespace(x).concatenate(workers.map(run, split(count, size)))
