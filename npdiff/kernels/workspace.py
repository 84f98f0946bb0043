"""Scratch arrays that are used again from call to call, private to a thread, bounded.

A fresh array of megabytes costs the kernel of the operating system a page fault for every 4096
bytes of it, more than the arithmetic done in it. A kernel therefore asks for scratch by name and
finds last time's memory. Nothing that a function returns lives here: what is returned is fresh.

An array that would take the thread past the limit is made fresh and not kept, which costs time and
nothing else.
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

#: Bytes of scratch a thread keeps where ``NPDIFF_WORKSPACE`` does not say otherwise.
DEFAULT_LIMIT = 512 * 2**20


def limit() -> int:
    """The bytes of scratch that each thread may keep: ``NPDIFF_WORKSPACE`` in MiB, or 512 MiB.

    Raises
    ------
    InputError
        If ``NPDIFF_WORKSPACE`` is no integer from 0 up.
    """
    wanted = os.environ.get("NPDIFF_WORKSPACE")
    if wanted is None:
        return DEFAULT_LIMIT
    if not (wanted.isascii() and wanted.isdigit()):
        raise InputError(
            f"NPDIFF_WORKSPACE is a number of MiB, an integer from 0 up, got {wanted!r}"
        )
    return int(wanted) * 2**20


class Workspace:
    """The scratch of one thread: memory by name, handed out as arrays of any shape.

    Parameters
    ----------
    most : bytes it may keep
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.clear()

    def clear(self) -> None:
        """Give all memory back, except what a running kernel still holds."""
        self._flat: dict[str, np.ndarray] = {}
        self._framed: dict[tuple[Any, ...], np.ndarray] = {}
        self._views: dict[Any, Any] = {}
        self._refused = False

    @property
    def kept(self) -> int:
        """The bytes that it keeps."""
        held = (*self._flat.copy().values(), *self._framed.copy().values())
        return sum(a.nbytes for a in held)

    def scratch(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array with anything in it, the caller's until somebody asks for ``name`` again."""
        count = math.prod(shape)
        wanted = count * np.dtype(dtype).itemsize
        flat = self._flat  # which another thread may replace meanwhile
        held = flat.get(name)
        if held is None or held.nbytes < wanted:
            more = wanted - (0 if held is None else held.nbytes)
            held = np.empty(wanted, np.uint8)
            if self._room(more):
                flat[name] = held
                self._views.clear()  # of what stood there before
        return held[:wanted].view(dtype).reshape(shape)

    def framed(self, name: str, shape: tuple[int, ...], dtype: Any, frame: Any) -> np.ndarray:
        """Zeros the first time; later the same array with what the caller has written into it.

        For an array with a border of zeros that nobody writes to: one for each ``name``, ``shape``,
        ``dtype`` and ``frame``, whatever tells one border from another.
        """
        key = (name, shape, np.dtype(dtype), frame)
        framed = self._framed
        held = framed.get(key)
        if held is None:
            held = np.zeros(shape, dtype)
            if not self._room(held.nbytes):  # of shapes that may not come again
                framed.clear()
                self._views.clear()
            if self._room(held.nbytes):
                framed[key] = held
        return held

    def views(self, key: Hashable, make: Callable[[], T]) -> T:
        """``make()``, or what it gave before: views of scratch take as long to make as to fill.

        ``make`` asks for all the scratch it needs. What it gives is the caller's until somebody
        asks for any of the same names.
        """
        views = self._views
        held = views.get(key)
        if held is None:
            self._refused = False
            held = make()
            if not self._refused:
                views[key] = held
        return held

    def _room(self, more: int) -> bool:
        room = self.kept + more <= self.most
        self._refused = self._refused or not room
        return room


class _Mine(threading.local):
    """The calling thread's workspace."""

    def __init__(self) -> None:
        self.workspace = Workspace(limit())
        with _changing:
            _all.add(self.workspace)


_all: WeakSet[Workspace] = WeakSet()
_changing = threading.Lock()
_mine = _Mine()


def workspace() -> Workspace:
    """The workspace of the calling thread."""
    return _mine.workspace


def release() -> None:
    """Give back the scratch of every thread. The next calls make theirs anew."""
    for space in _every():
        space.clear()


def kept() -> int:
    """The bytes of scratch that all threads keep at present."""
    return sum(space.kept for space in _every())


def _every() -> list[Workspace]:
    with _changing:
        return list(_all)
