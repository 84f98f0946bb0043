"""Where a definition hands over to a kernel that computes the same faster, and how to forbid it.

A function of :mod:`npdiff.ops` is the definition. Where :mod:`npdiff.kernels` holds a faster one
that covers the arguments, ``@accelerated`` calls that instead; each kernel is proved equal to its
definition, value and pullback. Without the folder ``kernels`` everything still runs, more slowly.
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

#: The forms in which kernels hold weights, by purpose and weight.
WeightCache = dict[Any, Any]

_definitions: ContextVar[bool] = ContextVar("npdiff_definitions", default=False)
_prepared: ContextVar[WeightCache | None] = ContextVar("npdiff_prepared", default=None)
_team: ContextVar["IdleThreads | None"] = ContextVar("npdiff_team", default=None)


@contextmanager
def definitions_only() -> Iterator[None]:
    """Within this block every function is computed as the textbook defines it, without kernels.

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
    token = _definitions.set(True)
    try:
        yield
    finally:
        _definitions.reset(token)


def kernels_allowed() -> bool:
    """Whether kernels may be used here: outside of every :func:`definitions_only`."""
    return not _definitions.get()


@cache
def _kernels(name: str) -> tuple[Callable[..., Traced | None], ...]:
    try:
        from npdiff import kernels
    except ImportError:
        return ()
    return kernels.of(name)


def accelerated(f: F) -> F:
    """Let the first kernel that covers the arguments take the place of the definition ``f``.

    A kernel has the definition's name and signature, and answers None to what it does not cover.
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
def frozen_weights(forms: WeightCache | None = None) -> Iterator[None]:
    """Promise that no weight is written to within this block, so that each is prepared once.

    A kernel may need weights in a form of its own. Without the promise it makes that form in every
    call; within the block once, for all threads that run in a copy of this context. A step of
    training keeps the promise until the update, sampling all the way.

    Parameters
    ----------
    forms : where the forms are kept, if the promise is to hold over several blocks: the calls of a
        network by one sampler, say, which cannot stay within a block while it yields. They go with
        the block, if not given
    """
    token = _prepared.set({} if forms is None else forms)
    try:
        yield
    finally:
        _prepared.reset(token)


def prepacked(purpose: Any, w: Array, make: Callable[[Array], T]) -> T:
    """``make(w)``, or what it gave for this ``purpose`` before, under :func:`frozen_weights`."""
    known = _prepared.get()
    if known is None:
        return make(w)
    held = known.get((purpose, id(w)))
    if held is None:
        held = known[purpose, id(w)] = (make(w), w)  # w beside it: an id lasts as long as its owner
    return held[0]


class IdleThreads(NamedTuple):
    """Threads that would be idle, for a kernel that can share out its own work.

    Attributes
    ----------
    size : how many, the calling one among them
    parallel_for : calls a function with each of some pieces, on any of the threads
    """

    size: int
    parallel_for: Callable[[Callable[[Any], object], Iterable[Any]], None]


@contextmanager
def idle_threads(threads: IdleThreads) -> Iterator[None]:
    """Within this block kernels may use these threads: for a batch too small to be shared out."""
    token = _team.set(threads)
    try:
        yield
    finally:
        _team.reset(token)


def idle_thread_count() -> int:
    """The threads at a kernel's disposal."""
    threads = _team.get()
    return 1 if threads is None else threads.size


def parallel_for(f: Callable[[T], object], pieces: Sequence[T]) -> None:
    """Call ``f`` with each piece: one after another, or on the threads of the :func:`idle_threads`.

    Threads that have pieces are not idle, so a piece has no team of its own.
    """
    threads = _team.get()
    if threads is None or len(pieces) == 1:
        for piece in pieces:
            f(piece)
        return

    def alone(piece: T) -> None:
        token = _team.set(None)
        try:
            f(piece)
        finally:
            _team.reset(token)

    threads.parallel_for(alone, pieces)
