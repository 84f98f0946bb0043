"""Scratch arrays that are reused from call to call: private to a thread, of bounded size.

A new array of megabytes costs a page fault for every 4096 bytes, which takes longer than the
arithmetic in it. A kernel therefore requests scratch by name and gets the memory of its last call.
No array that a function returns is scratch.

An array that would exceed the thread's limit is allocated and not kept, which only costs time.
"""

import math
import os
import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakSet

import numpy as np

from npdiff.errors import InputError

T = TypeVar("T")

#: Bytes of scratch that a thread may keep, unless ``NPDIFF_WORKSPACE`` is set.
DEFAULT_LIMIT = 512 * 2**20


def limit() -> int:
    """The bytes of scratch that each thread may keep: ``NPDIFF_WORKSPACE`` in MiB, or 512 MiB.

    Raises
    ------
    InputError
        If ``NPDIFF_WORKSPACE`` is not an integer from 0 up.
    """
    text = os.environ.get("NPDIFF_WORKSPACE")
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit()):
        raise InputError(
            f"NPDIFF_WORKSPACE must be a number of MiB, an integer from 0 up, got {text!r}"
        )
    return int(text) * 2**20


class Workspace:
    """The scratch of one thread: memory by name, returned as arrays of any shape.

    Parameters
    ----------
    most : bytes that it may keep
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.clear()

    def clear(self) -> None:
        """Release all memory, except arrays that a running kernel still uses."""
        self._flat: dict[str, np.ndarray] = {}
        self._framed: dict[tuple[Any, ...], np.ndarray] = {}
        self._views: dict[Any, Any] = {}
        self._refused = False

    @property
    def kept(self) -> int:
        """The bytes that this workspace keeps."""
        arrays = (*self._flat.copy().values(), *self._framed.copy().values())
        return sum(a.nbytes for a in arrays)

    def scratch(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An uninitialized array, valid until ``name`` is requested again."""
        count = math.prod(shape)
        size = count * np.dtype(dtype).itemsize
        flat = self._flat  # another thread may call clear() meanwhile
        memory = flat.get(name)
        if memory is None or memory.nbytes < size:
            more = size - (0 if memory is None else memory.nbytes)
            memory = np.empty(size, np.uint8)
            if self._room(more):
                flat[name] = memory
                self._views.clear()  # some are of the replaced memory
        return memory[:size].view(dtype).reshape(shape)

    def framed(self, name: str, shape: tuple[int, ...], dtype: Any, frame: Any) -> np.ndarray:
        """Zeros on the first request; later the same array with what the caller wrote to it.

        For an array with a border of zeros that is never written to: one for each ``name``,
        ``shape``, ``dtype`` and ``frame``, which identifies the border.
        """
        key = (name, shape, np.dtype(dtype), frame)
        framed = self._framed
        array = framed.get(key)
        if array is None:
            array = np.zeros(shape, dtype)
            if not self._room(array.nbytes):  # release those of shapes that may not recur
                framed.clear()
                self._views.clear()
            if self._room(array.nbytes):
                framed[key] = array
        return array

    def views(self, key: Hashable, make: Callable[[], T]) -> T:
        """``make()``, or its earlier result: views of scratch take as long to make as to fill.

        ``make`` requests all the scratch it needs. Its result is valid until any of the same names
        is requested again.
        """
        views = self._views
        result = views.get(key)
        if result is None:
            self._refused = False
            result = make()
            if not self._refused:
                views[key] = result
        return result

    def _room(self, more: int) -> bool:
        room = self.kept + more <= self.most
        self._refused = self._refused or not room
        return room


class _PerThread(threading.local):
    """One workspace for each thread."""

    def __init__(self) -> None:
        self.workspace = Workspace(limit())
        with _lock:
            _all.add(self.workspace)


_all: WeakSet[Workspace] = WeakSet()
_lock = threading.Lock()
_per_thread = _PerThread()


def workspace() -> Workspace:
    """The workspace of the calling thread."""
    return _per_thread.workspace


def release() -> None:
    """Release the scratch of every thread; the next calls allocate it again."""
    for space in _every():
        space.clear()


def kept() -> int:
    """The bytes of scratch that all threads keep."""
    return sum(space.kept for space in _every())


def _every() -> list[Workspace]:
    with _lock:
        return list(_all)
