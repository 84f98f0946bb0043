"""A pool of threads that runs one function on many shards.

At any time no more shards have been started, and no more results wait, than there are threads plus
one: a batch of many shards takes no more memory than a batch of a few.
"""

import os
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from itertools import islice
from typing import Any, Self, TypeVar

from npdiff import tree
from npdiff.acceleration import IdleThreads
from npdiff.backend import Array
from npdiff.errors import InputError
from npdiff.runtime import process_settings

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")


def thread_count() -> int:
    """The number of threads: ``NPDIFF_THREADS``, or else the CPUs that this process may use.

    Raises
    ------
    InputError
        If ``NPDIFF_THREADS`` is not a positive integer.
    """
    text = os.environ.get("NPDIFF_THREADS")
    if text is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise InputError(f"NPDIFF_THREADS must be an integer from 1 up, got {text!r}")
    return int(text)


def _probe() -> None:
    """The first task of a pool: it fails if no thread can be started."""


class ThreadPool:
    """Threads that run one function on many shards; where threads cannot start, a plain loop.

    A context manager. While shards run, BLAS is limited to one thread (if ``threadpoolctl`` is
    installed), and each shard runs in a copy of the caller's context, so that ``forward_only()``
    and similar settings apply to it.

    Parameters
    ----------
    threads : number of threads; by default :func:`thread_count`. With 1, the right number for a
        GPU, no thread is started.
    """

    def __init__(self, threads: int | None = None) -> None:
        threads = thread_count() if threads is None else threads
        if threads < 1:
            raise InputError(f"the number of threads must be 1 or more, got {threads}")
        self._pool: Any = self._start(threads) if threads > 1 else None
        self.threads = threads if self._pool else 1
        self._blas: Any = None
        if self._pool:
            setting = process_settings.SWITCH_INTERVAL_SETTING
            setting.acquire(process_settings.shorten_switch_interval)
            self._restore_switch_interval = weakref.finalize(self, setting.release)

    @staticmethod
    def _start(threads: int) -> Any:
        try:
            from concurrent.futures import ThreadPoolExecutor

            pool = ThreadPoolExecutor(threads, thread_name_prefix="npdiff-shard")
            pool.submit(_probe).result()
        except (ImportError, RuntimeError):  # WebAssembly has no threads
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
            self._restore_switch_interval()

    @contextmanager
    def one_blas_thread(self) -> Iterator[None]:
        """Limit BLAS to one thread within this block, and restore its number of threads after."""
        process_settings.BLAS_THREADS_SETTING.acquire(self._limit_blas)
        try:
            yield
        finally:
            process_settings.BLAS_THREADS_SETTING.release()

    def _limit_blas(self) -> process_settings.Undo:
        if self._blas is None:
            try:
                from threadpoolctl import ThreadpoolController
            except ImportError:
                return lambda: None
            self._blas = ThreadpoolController()
        return process_settings.limit_blas_to_one_thread(self._blas)

    def map(self, f: Callable[[A], B], shards: Sequence[A]) -> list[B]:
        """``f`` of each shard, in the order of the shards.

        An error in a shard is raised here, and shards that have not started are dropped.
        """
        return list(self.results(f, shards))

    def sum(self, f: Callable[[A], T], shards: Sequence[A]) -> T:
        """The sum of the trees that ``f`` returns, added in the order of the shards."""
        if not shards:
            raise InputError("there is nothing to add up: expected one shard or more, got none")
        total: Any = None
        for result in self.results(f, shards):
            if total is None:
                total = tree.map(lambda leaf: leaf.copy(), result)
            else:
                total = tree.map(_accumulate, total, result)
            del result  # free it before the next one arrives
        return total

    def results(self, f: Callable[[A], B], shards: Iterable[A]) -> Iterator[B]:
        """Yield the results of :meth:`map`, each as soon as it and all before it are complete."""
        with self.one_blas_thread():
            if self._pool is None:
                for shard in shards:
                    yield f(shard)
                return
            waiting = iter(shards)
            started = deque(self._submit(f, shard) for shard in islice(waiting, self.threads + 1))
            try:
                while started:
                    yield started.popleft().result()
                    started.extend(self._submit(f, shard) for shard in islice(waiting, 1))
            finally:
                for future in started:
                    future.cancel()

    def _submit(self, f: Callable[[A], B], shard: A) -> Any:
        return self._pool.submit(copy_context().run, f, shard)

    def parallel_for(self, f: Callable[[A], object], items: Iterable[A]) -> None:
        """Call ``f`` with each item, in any order, on the calling thread and all that are free.

        For many items of microseconds each that do not call BLAS. An error in an item is raised
        here, and items that have not started are dropped.
        """
        left = deque(items)

        def work() -> None:
            try:
                while True:
                    try:
                        item = left.popleft()
                    except IndexError:
                        return
                    f(item)
            finally:
                left.clear()

        helpers = range(min(self.threads, len(left)) - 1)
        futures = [self._pool.submit(copy_context().run, work) for _ in helpers]
        try:
            work()
        finally:
            running = [future for future in futures if not future.cancel()]
            for future in running:
                future.exception()
        for future in running:
            future.result()

    def as_idle(self) -> IdleThreads:
        """These threads for :func:`npdiff.acceleration.idle_threads`."""
        return IdleThreads(self.threads, self.parallel_for)


def _accumulate(total: Array, leaf: Array) -> Array:
    total += leaf
    return total
