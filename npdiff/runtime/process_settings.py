"""Reference-counted process-wide settings: BLAS threads and the interpreter's switch interval.

Several users may need the same setting at the same time, nested or in two threads. The first one
changes it and the last one restores it.
"""

import sys
import threading
from collections.abc import Callable
from typing import Any

#: Seconds after which the interpreter may switch to another thread. A thread that mostly runs
#: inside NumPy needs the interpreter for microseconds, and may wait this long for it.
SWITCH_INTERVAL = 5e-5

#: Restores a setting.
Undo = Callable[[], object]


class ProcessSetting:
    """A setting that stays changed while at least one user needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._undo: Undo | None = None

    def acquire(self, change: Callable[[], Undo]) -> None:
        """Add a user; the first one calls ``change``, which returns how to undo it."""
        with self._lock:
            if self._users == 0:
                self._undo = change()
            self._users += 1

    def release(self) -> None:
        """Remove a user; after the last one the setting is restored."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._undo is not None:
                self._undo()
                self._undo = None


def shorten_switch_interval() -> Undo:
    """Let the interpreter switch threads after :data:`SWITCH_INTERVAL`."""
    if not hasattr(sys, "setswitchinterval"):
        return lambda: None
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_INTERVAL))
    ours = sys.getswitchinterval()

    def undo() -> None:
        if sys.getswitchinterval() == ours:  # otherwise other code has changed it since
            sys.setswitchinterval(before)

    return undo


def limit_blas_to_one_thread(controller: Any) -> Undo:
    """Limit BLAS to one thread, through a ``ThreadpoolController`` of ``threadpoolctl``.

    The thread that restores the limit may differ from the one that set it. Newer versions of
    ``threadpoolctl`` accept changes from one thread only and ignore others silently, so each call
    clears that restriction.
    """

    def allow_any_thread() -> None:
        for library in controller.lib_controllers:
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=True)

    allow_any_thread()
    limits = controller.limit(limits=1, user_api="blas")
    allow_any_thread()

    def undo() -> None:
        allow_any_thread()
        limits.restore_original_limits()
        allow_any_thread()

    return undo


#: The number of threads of BLAS.
BLAS_THREADS_SETTING = ProcessSetting()

#: The time after which the interpreter may switch to another thread.
SWITCH_INTERVAL_SETTING = ProcessSetting()
