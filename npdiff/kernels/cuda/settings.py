"""The precision of matrix products on a GPU, and the choice of its convolution algorithm.

Products are in true float32 unless another precision is set.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from npdiff.errors import InputError

PRECISIONS = ("float32", "tf32", "float16")
CONVOLUTIONS = ("auto", "winograd", "shifted", "definition")


@dataclass(frozen=True)
class Settings:
    """The settings of :func:`using`.

    Parameters
    ----------
    precision : rounding of the factors in products of float32 arrays; sums are always in float32.
        ``"float32"``: none. ``"tf32"``: to 10 fraction bits. ``"float16"``: to 10 fraction bits
        with a smaller range, only in the values of convolutions, for sampling: norms, softmax,
        attention, the residual stream and every pullback stay float32. Inputs beyond 65504 are
        clipped to it.
    convolution : ``"auto"``, or one algorithm wherever it covers the arguments
    """

    precision: str = "float32"
    convolution: str = "auto"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("precision", self.precision, PRECISIONS),
            ("convolution", self.convolution, CONVOLUTIONS),
        ):
            if value not in known:
                raise InputError(f"unknown {name} {value!r}: choose one of {', '.join(known)}")


_current: ContextVar[Settings | None] = ContextVar("npdiff_cuda_settings", default=None)


def settings() -> Settings:
    """The current settings: those of :func:`using`, or else TF32 if ``NPDIFF_TF32`` is 1.

    Raises
    ------
    InputError
        If ``NPDIFF_TF32`` is neither 0 nor 1.
    """
    chosen = _current.get()
    if chosen is not None:
        return chosen
    text = os.environ.get("NPDIFF_TF32", "0")
    if text not in ("0", "1"):
        raise InputError(f"NPDIFF_TF32 must be 0 or 1, got {text!r}")
    return Settings("tf32" if text == "1" else "float32")


@contextmanager
def using(**changes: str) -> Iterator[Settings]:
    """Within this block the given settings apply, in convolutions and in CuPy's own products.

    CuPy's own setting is one for the whole process; it is restored at the end.

    >>> with using(precision="tf32"):
    ...     settings().precision
    'tf32'
    """
    new = replace(settings(), **changes)
    before = cupy_products(new.precision)  # may raise
    token = _current.set(new)
    try:
        yield new
    finally:
        _current.reset(token)
        if before is not None:
            sys.modules["cupy"]._core.set_compute_type("float32", before)


def cupy_products(precision: str) -> Any:
    """Set the precision of CuPy's float32 products; returns the old one, or None without CuPy."""
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return None
    from cupy._core import _routines_linalg as linalg

    before = linalg.get_compute_type("float32")
    tf32 = precision == "tf32"
    chosen = linalg.COMPUTE_TYPE_TF32 if tf32 else linalg.COMPUTE_TYPE_DEFAULT
    linalg.set_compute_type("float32", chosen)
    return before
