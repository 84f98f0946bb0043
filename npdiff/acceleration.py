"""The switch between definitions and kernels, and the context variables that kernels read.

A function of :mod:`npdiff.ops` is the definition. If :mod:`npdiff.kernels` has a faster function
that covers the arguments, ``@accelerated`` calls it instead; the value and the pullback of each
kernel are verified against the definition. Without the folder ``kernels`` everything still runs,
more slowly.

Four context variables change how a network is computed. A thread sees them if it runs in a copy of
the caller's context, as the threads of :class:`~npdiff.runtime.threads.ThreadPool` do.

===============================================  ===================================================
block                                            set by; measured gain
===============================================  ===================================================
:func:`~npdiff.pullback.forward_only`            samplers, around each evaluation, to drop all
                                                 pullbacks; 4 to 6 % of the time of one image,
                                                 and from a third to nearly half of peak memory
:func:`frozen_weights`                           sampling, and training within a step, to convert
                                                 each weight once; 7 to 18 % of sampling, but 2 to
                                                 3 % for large or for single guided batches
:func:`idle_threads`                             :func:`npdiff.runtime.shards.forward` if there are
                                                 fewer samples than threads, and the update of the
                                                 weights; 17 % for one image of network L, nothing
                                                 for S
:func:`definitions_only`                         the user, to switch kernels off: a feature; the
                                                 switch costs 0.02 %
===============================================  ===================================================

Reading all four costs 0.4 % of an evaluation of the shipped model at batch size 1, and less at
larger ones. All figures are from two cores; L and S are networks of ``npdiff bench``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any, NamedTuple, TypeVar

from npdiff.backend import Array
from npdiff.pullback import Traced

F = TypeVar("F", bound=Callable[..., Traced])
T = TypeVar("T")

#: Weights in the layouts that kernels need, by purpose and identity of the weight.
WeightCache = dict[Any, Any]

_definitions_only: ContextVar[bool] = ContextVar("npdiff_definitions_only", default=False)
_weight_cache: ContextVar[WeightCache | None] = ContextVar("npdiff_weight_cache", default=None)
_idle_threads: ContextVar["IdleThreads | None"] = ContextVar("npdiff_idle_threads", default=None)


@contextmanager
def definitions_only() -> Iterator[None]:
    """Within this block every function is computed by its definition, without kernels.

    Like :func:`~npdiff.pullback.forward_only` the setting belongs to the current context.

    >>> import numpy as np
    >>> from npdiff import ops
    >>> x, w = np.ones((1, 8, 8, 32)), np.ones((3, 3, 32, 32))
    >>> with definitions_only():
    ...     slow, _ = ops.conv(x, w)
    >>> fast, _ = ops.conv(x, w)
    >>> bool(np.allclose(slow, fast))
    True
    """
    token = _definitions_only.set(True)
    try:
        yield
    finally:
        _definitions_only.reset(token)


def kernels_allowed() -> bool:
    """Whether kernels may be used: True outside of every :func:`definitions_only` block."""
    return not _definitions_only.get()


@cache
def _kernels(name: str) -> tuple[Callable[..., Traced | None], ...]:
    try:
        from npdiff import kernels
    except ImportError:
        return ()
    return kernels.of(name)


def accelerated(f: F) -> F:
    """Decorate a definition: the first kernel that covers the arguments replaces it.

    A kernel has the definition's name and signature. It returns None if it does not cover them.
    """

    @wraps(f)
    def run(*args: Any, **kwargs: Any) -> Traced:
        if kernels_allowed():
            for kernel in _kernels(f.__name__):
                traced = kernel(*args, **kwargs)
                if traced is not None:
                    return traced
        return f(*args, **kwargs)

    return run  # type: ignore[return-value]


@contextmanager
def frozen_weights(weight_cache: WeightCache | None = None) -> Iterator[None]:
    """Promise that no weight is written to within this block, so that each is converted once.

    A kernel may need weights in another layout. Without the promise it converts them in every
    call; within the block once, for all threads that run in a copy of this context. Training keeps
    the promise within a step, sampling from the first step to the last.

    Parameters
    ----------
    weight_cache : where converted weights are kept, if the promise holds over several blocks, such
        as the evaluations of one sampler, which yields between them. By default they are discarded
        at the end of the block.
    """
    token = _weight_cache.set({} if weight_cache is None else weight_cache)
    try:
        yield
    finally:
        _weight_cache.reset(token)


def prepacked(purpose: Any, w: Array, convert: Callable[[Array], T]) -> T:
    """``convert(w)``, or the earlier result for this ``purpose`` under :func:`frozen_weights`."""
    weight_cache = _weight_cache.get()
    if weight_cache is None:
        return convert(w)
    entry = weight_cache.get((purpose, id(w)))
    if entry is None:  # the entry keeps w alive, or another array could get its id
        entry = weight_cache[purpose, id(w)] = (convert(w), w)
    return entry[0]


class IdleThreads(NamedTuple):
    """Idle threads, between which a kernel may divide its work.

    Attributes
    ----------
    size : number of threads, including the calling one
    parallel_for : calls a function with each item, on any of the threads
    """

    size: int
    parallel_for: Callable[[Callable[[Any], object], Iterable[Any]], None]


@contextmanager
def idle_threads(threads: IdleThreads) -> Iterator[None]:
    """Within this block :func:`parallel_for` uses these threads."""
    token = _idle_threads.set(threads)
    try:
        yield
    finally:
        _idle_threads.reset(token)


def idle_thread_count() -> int:
    """The number of threads that :func:`parallel_for` would use, including the calling one."""
    threads = _idle_threads.get()
    return 1 if threads is None else threads.size


def parallel_for(f: Callable[[T], object], items: Sequence[T]) -> None:
    """Call ``f`` with each item: one after another, or on the :func:`idle_threads`.

    A thread that has an item is not idle, so ``f`` itself has no idle threads.
    """
    threads = _idle_threads.get()
    if threads is None or len(items) == 1:
        for item in items:
            f(item)
        return

    def without_idle_threads(item: T) -> None:
        token = _idle_threads.set(None)
        try:
            f(item)
        finally:
            _idle_threads.reset(token)

    threads.parallel_for(without_idle_threads, items)
