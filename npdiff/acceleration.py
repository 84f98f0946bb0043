"""Where a definition hands over to a kernel that computes the same faster, and how to forbid it.

A function of :mod:`npdiff.ops` is the definition. Where :mod:`npdiff.kernels` holds a faster version
that covers the arguments, ``@accelerated`` calls that instead; each kernel is proved equal to its
definition, value and pullback. Without the folder ``kernels`` everything still runs, more slowly.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any, TypeVar

from npdiff.pullback import Traced

F = TypeVar("F", bound=Callable[..., Traced])

_definitions: ContextVar[bool] = ContextVar("npdiff_definitions", default=False)


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
        if not _definitions.get():
            for kernel in _kernels(f.__name__):
                traced = kernel(*args, **kwargs)
                if traced is not None:
                    return traced
        return f(*args, **kwargs)

    return run  # type: ignore[return-value]
