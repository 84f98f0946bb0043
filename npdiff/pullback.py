r"""The differentiation protocol: every function returns its value and its *pullback*.

The pullback of :math:`y = f(x)` is the transposed Jacobian as a function of a cotangent,

.. math::
    :label: pullback

    \bar x = \left(\frac{\partial f}{\partial x}\right)^{\!\top} \bar y .

A function ``f(x, w, *, option)`` returns ``(y, pullback)``, and ``pullback(dy)`` returns
``(dx, dw)``: one cotangent for each positional argument, in order. Keyword arguments are not
differentiated. A module counts as its first argument: ``y, pullback = layer(x)`` and
``dlayer, dx = pullback(dy)``, where ``dlayer`` is a layer. A pullback may be called again, and
never writes to an array that it did not make.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

#: The result of a pullback: a cotangent for each positional argument.
Cotangents = tuple[Any, ...]
#: The result of a differentiable function: its value and its pullback.
Traced = tuple[Any, Callable[..., Cotangents]]

F = TypeVar("F", bound=Callable[..., Traced])

_recording: ContextVar[bool] = ContextVar("npdiff_recording", default=True)


@contextmanager
def _record(value: bool) -> Iterator[None]:
    token = _recording.set(value)
    try:
        yield
    finally:
        _recording.reset(token)


@contextmanager
def forward_only() -> Iterator[None]:
    """Drop all pullbacks within this block, so that no arrays are saved for them.

    For sampling: memory falls to that of the widest layer. The setting belongs to the current
    context; a thread inherits it only if it runs under ``contextvars.copy_context()``.
    """
    with _record(False):
        yield


def dropped(*_: Any) -> Cotangents:
    """The pullback of a value computed under :func:`forward_only`: raises an error."""
    raise RuntimeError(
        "this value was computed under forward_only(), which keeps no pullbacks: "
        "compute it again outside of that block"
    )


def differentiable(f: F) -> F:
    """Decorate a function that returns ``(y, pullback)`` so that it obeys :func:`forward_only`."""

    @wraps(f)
    def run(*args: Any, **kwargs: Any) -> Traced:
        y, pullback = f(*args, **kwargs)
        return y, pullback if _recording.get() else dropped

    return run  # type: ignore[return-value]


def gradient_checkpoint(f: Callable[..., Traced]) -> Callable[..., Traced]:
    """Gradient checkpointing: ``f``, but it saves only its arguments and reruns in the pullback.

    ``f`` is an op, a layer or a whole model. This saves memory for one more forward pass.
    Randomness is an argument everywhere in npdiff, so both passes see the same draw.
    """

    @differentiable
    def run(*args: Any, **kwargs: Any) -> Traced:
        with forward_only():
            y, _ = f(*args, **kwargs)

        def gradient_checkpoint_pullback(*dy: Any) -> Cotangents:
            with _record(True):
                _, pullback = f(*args, **kwargs)
            return pullback(*dy)

        return y, gradient_checkpoint_pullback

    return run
