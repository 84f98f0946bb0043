"""Error messages for when memory runs out, the computer's or a GPU's."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from npdiff.errors import InputError


class HostMemoryError(InputError, MemoryError):
    """The computer has too little memory for this request."""


class DeviceMemoryError(InputError, MemoryError):
    """The GPU has too little memory for this request."""


@contextmanager
def explain_memory_errors(backend: str, doing: str, remedy: str) -> Iterator[None]:
    """Replace memory errors by errors that name the task and a remedy.

    Of nested blocks the innermost replaces the error. On a GPU CuPy's unused memory is released
    first, so that the caller can continue with a smaller request.

    Parameters
    ----------
    backend : where the arrays of this block are: ``"numpy"`` or ``"cupy"``
    doing : the task: ``"sampling of 64 images"``
    remedy : what to try instead: ``"fewer at a time"``

    Raises
    ------
    HostMemoryError
        Instead of ``MemoryError``.
    DeviceMemoryError
        Instead of CuPy's ``OutOfMemoryError``.
    """
    try:
        yield
    except MemoryError as error:
        if isinstance(error, InputError):  # an inner block has explained it
            raise
        if backend == "cupy" and type(error).__name__ == "OutOfMemoryError":
            raise DeviceMemoryError(
                f"the GPU ran out of memory during {doing} ({error}{_free()}): try {remedy}"
            ) from error
        details = f" ({error})" if str(error) else ""
        raise HostMemoryError(f"memory ran out during {doing}{details}: try {remedy}") from error


def _free() -> str:
    """Release CuPy's unused memory and describe how much is free then."""
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return ""
    try:
        cupy.get_default_memory_pool().free_all_blocks()
        free, total = cupy.cuda.runtime.memGetInfo()
    except Exception:  # the message matters more than its figures
        return ""
    return f"; free are {free / 2**30:.1f} of {total / 2**30:.1f} GiB"
