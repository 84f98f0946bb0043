"""What to say when a GPU has no memory left."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from npdiff.errors import InputError


class DeviceMemoryError(InputError, MemoryError):
    """A GPU has not as much memory as was asked for."""


@contextmanager
def memory_errors(doing: str, remedy: str) -> Iterator[None]:
    """Turn CuPy's complaint about memory into one that says what was asked, and what to do.

    What CuPy keeps in stock is given back first, so that the caller may go on with less.

    Parameters
    ----------
    doing : what was going on: ``"a training step of 128 images"``
    remedy : what to do: ``"a smaller batch (--batch 64)"``

    Raises
    ------
    DeviceMemoryError
        In place of ``cupy.cuda.memory.OutOfMemoryError``.
    """
    try:
        yield
    except MemoryError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        raise DeviceMemoryError(
            f"the GPU ran out of memory during {doing} ({error}{_free()}): try {remedy}"
        ) from error


def _free() -> str:
    """What is free once CuPy's stock has been given back, in words."""
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return ""
    try:
        cupy.get_default_memory_pool().free_all_blocks()
        free, total = cupy.cuda.runtime.memGetInfo()
    except Exception:  # the message matters more than its figures
        return ""
    return f"; free are {free / 2**30:.1f} of {total / 2**30:.1f} GiB"
