"""A batch in shards of a fixed number of samples, run on as many threads as the machine has.

The size of a shard belongs to the configuration and the results are summed in shard order, so what
is computed does not depend on the number of threads, to the last bit. Small shards also keep a
network's activations in cache. No more shards are begun, and no more results wait, than there are
threads and one: a batch of many shards takes no more memory than one of a few.
"""

import os
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from itertools import islice
from typing import Any, Protocol, Self, TypeVar

from npdiff import tree
from npdiff.acceleration import IdleThreads, idle_threads
from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.pullback import forward_only
from npdiff.runtime import process_settings

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


class Reduction(Protocol):
    """What joins the machines that train one network together, each on shards of its own."""

    def total(self, part: Array) -> Array:
        """The sum of every machine's ``part``, the same bits on each; may be written to ``part``.

        Every machine calls this equally often, with arrays of the same shapes in the same order.
        """
        ...


class SingleMachine:
    """One machine: its part is the sum."""

    def total(self, part: Array) -> Array:
        """``part`` itself."""
        return part


SINGLE_MACHINE = SingleMachine()


def _probe() -> None:
    """What a pool is asked to run first, to see whether threads can be started at all."""


class ThreadPool:
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
        self._pool: Any = self._start(threads) if threads > 1 else None
        self.threads = threads if self._pool else 1
        self._blas: Any = None
        if self._pool:
            process_settings.SWITCH_INTERVAL_SETTING.hold(process_settings.quick_switching)
            self._switch_back = weakref.finalize(
                self, process_settings.SWITCH_INTERVAL_SETTING.release
            )

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
            self._switch_back()

    @contextmanager
    def one_blas_thread(self) -> Iterator[None]:
        """Hold BLAS to one thread within this block, and give it back what it had."""
        process_settings.BLAS.hold(self._one_blas_thread)
        try:
            yield
        finally:
            process_settings.BLAS.release()

    def _one_blas_thread(self) -> process_settings.Undo:
        if self._blas is None:
            try:
                from threadpoolctl import ThreadpoolController
            except ImportError:
                return lambda: None
            self._blas = ThreadpoolController()
        return process_settings.one_blas_thread(self._blas)

    def map(self, f: Callable[[A], B], shards: Sequence[A]) -> list[B]:
        """``f`` of each shard, in the order of the shards.

        An error in a shard is raised here, and shards not yet begun are dropped.
        """
        return list(self.results(f, shards))

    def sum(self, f: Callable[[A], T], shards: Sequence[A]) -> T:
        """The sum of the trees that ``f`` returns, added up in the order of the shards."""
        if not shards:
            raise InputError("there is nothing to add up: expected one shard or more, got none")
        total: Any = None
        for result in self.results(f, shards):
            if total is None:
                total = tree.map(lambda leaf: leaf.copy(), result)
            else:
                total = tree.map(_accumulate, total, result)
            del result  # or it would be kept until the next has come
        return total

    def results(self, f: Callable[[A], B], shards: Iterable[A]) -> Iterator[B]:
        """Yield what :meth:`map` returns, each result as soon as it and all before it have come."""
        with self.one_blas_thread():
            if self._pool is None:
                for shard in shards:
                    yield f(shard)
                return
            waiting = iter(shards)
            begun = deque(self._begin(f, shard) for shard in islice(waiting, self.threads + 1))
            try:
                while begun:
                    yield begun.popleft().result()
                    begun.extend(self._begin(f, shard) for shard in islice(waiting, 1))
            finally:
                for future in begun:
                    future.cancel()

    def parallel_for(self, f: Callable[[A], object], pieces: Iterable[A]) -> None:
        """Call ``f`` with each piece, in any order, on the calling thread and all that are free.

        For many pieces of microseconds each that do not call BLAS. An error in a piece is raised
        here, and pieces not yet begun are dropped.
        """
        left = deque(pieces)

        def work() -> None:
            try:
                while True:
                    try:
                        piece = left.popleft()
                    except IndexError:
                        return
                    f(piece)
            finally:
                left.clear()

        helpers = range(min(self.threads, len(left)) - 1)
        futures = [self._pool.submit(copy_context().run, work) for _ in helpers]
        try:
            work()
        finally:
            wait = [future for future in futures if not future.cancel()]
            for future in wait:
                future.exception()
        for future in wait:
            future.result()

    def _begin(self, f: Callable[[A], B], shard: A) -> Any:
        return self._pool.submit(copy_context().run, f, shard)


def _accumulate(total: Array, leaf: Array) -> Array:
    total += leaf
    return total


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
    workers, size : where to run, and how many samples at a time
    conditions : arrays with N rows are cut like ``x``; anything else is passed on whole

    Raises
    ------
    InputError
        If there is no sample.
    """
    count = x.shape[0]
    if count == 0:
        raise InputError(f"expected one sample or more, got an array of shape {tuple(x.shape)}")

    def cut(value: Any, shard: slice) -> Any:
        rows = getattr(value, "shape", ())[:1] == (count,)
        return value[shard] if rows else value

    def run(shard: slice) -> Array:
        own = {name: cut(value, shard) for name, value in conditions.items()}
        with forward_only():
            y, _ = module(x[shard], cut(timestep, shard), **own)
        return y

    if count < workers.threads:  # too few to go round: kernels may share out what is large
        with (
            workers.one_blas_thread(),
            idle_threads(IdleThreads(workers.threads, workers.parallel_for)),
        ):
            return run(slice(0, count))
    return namespace(x).concatenate(workers.map(run, split(count, size)))
