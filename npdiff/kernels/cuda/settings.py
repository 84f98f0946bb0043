"""How exact products are on a GPU, and how it convolves: chosen by the caller, never by chance.

True float32 unless somebody says otherwise.
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
    """What :func:`using` sets.

    Parameters
    ----------
    precision : of the factors of products of float32 arrays; sums are in float32 in any case.
        ``"float32"``: as they are. ``"tf32"``: 10 bits behind the point. ``"float16"``: the same
        10 bits and a smaller range, in convolutions alone and in their values alone, for sampling:
        norms, softmax, attention, what is added up from block to block and every pullback stay
        float32. Inputs beyond 65504 count as 65504.
    convolution : ``"auto"``, or one way for all that it covers
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


_chosen: ContextVar[Settings | None] = ContextVar("npdiff_cuda_settings", default=None)


def settings() -> Settings:
    """The settings in force: those of :func:`using`, or TF32 where ``NPDIFF_TF32`` is 1.

    Raises
    ------
    InputError
        If ``NPDIFF_TF32`` is neither 0 nor 1.
    """
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    wanted = os.environ.get("NPDIFF_TF32", "0")
    if wanted not in ("0", "1"):
        raise InputError(f"NPDIFF_TF32 is 0 or 1, got {wanted!r}")
    return Settings("tf32" if wanted == "1" else "float32")


@contextmanager
def using(**changes: str) -> Iterator[Settings]:
    """Within this block the named settings hold, in convolutions and in CuPy's own products.

    The latter are CuPy's to set, for the whole process, and are set back at the end.

    >>> with using(precision="tf32"):
    ...     settings().precision
    'tf32'
    """
    new = replace(settings(), **changes)
    before = cupy_products(new.precision)  # may refuse
    token = _chosen.set(new)
    try:
        yield new
    finally:
        _chosen.reset(token)
        if before is not None:
            sys.modules["cupy"]._core.set_compute_type("float32", before)


def cupy_products(precision: str) -> Any:
    """Tell CuPy how to multiply float32 matrices; what it did before, or None without CuPy."""
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return None
    from cupy._core import _routines_linalg as linalg

    before = linalg.get_compute_type("float32")
    tf32 = precision == "tf32"
    chosen = linalg.COMPUTE_TYPE_TF32 if tf32 else linalg.COMPUTE_TYPE_DEFAULT
    linalg.set_compute_type("float32", chosen)
    return before
