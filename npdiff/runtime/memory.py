"""What to say when memory runs out, the computer's or a GPU's."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from npdiff.errors import InputError


class HostMemoryError(InputError, MemoryError):
    """The computer has not as much memory as was asked for."""


@contextmanager
def memory_explained(backend: str, doing: str, remedy: str) -> Iterator[None]:
    """Turn a lack of memory into an error that says what was asked, and what to do.

    Blocks may be nested: the innermost knows best.

    Parameters
    ----------
    backend : where arrays live in this block
    doing : what goes on: ``"sampling of 64 images"``
    remedy : what to do: ``"fewer at a time"``

    Raises
    ------
    HostMemoryError
        In place of ``MemoryError``.
    npdiff.kernels.cuda.memory.DeviceMemoryError
        In place of CuPy's error, on a GPU.
    """
    try:
        with _on_device(doing, remedy) if backend == "cupy" else nullcontext():
            yield
    except MemoryError as error:
        if isinstance(error, InputError):  # it says already what to do
            raise
        asked = f" ({error})" if str(error) else ""
        raise HostMemoryError(f"memory ran out during {doing}{asked}: try {remedy}") from error


def _on_device(doing: str, remedy: str) -> AbstractContextManager[None]:
    try:
        from npdiff.kernels.cuda.memory import memory_errors
    except ImportError:  # without the folder of kernels
        return nullcontext()
    return memory_errors(doing, remedy)
