"""Settings of the whole process that one who computes in threads holds for a while.

Several may hold a setting at the same time, one within another or side by side in two threads. It
is changed when the first asks for it and put back when the last lets go.
"""

import sys
import threading
from collections.abc import Callable
from typing import Any

#: Seconds between the interpreter's offers to let another thread run. Threads that are in NumPy
#: most of the time and want the interpreter for microseconds wait up to this long for it.
SWITCH_INTERVAL = 5e-5

#: Puts a setting back.
Undo = Callable[[], object]


class ProcessSetting:
    """A setting that is changed while anybody holds it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._undo: Undo | None = None

    def hold(self, change: Callable[[], Undo]) -> None:
        """Change the setting, unless somebody has; ``change`` does it and returns the way back."""
        with self._lock:
            if self._holders == 0:
                self._undo = change()
            self._holders += 1

    def release(self) -> None:
        """Put the setting back, if nobody else holds it."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0 and self._undo is not None:
                self._undo()
                self._undo = None


def quick_switching() -> Undo:
    """Let the interpreter pass from thread to thread after :data:`SWITCH_INTERVAL`."""
    if not hasattr(sys, "setswitchinterval"):
        return lambda: None
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_INTERVAL))
    ours = sys.getswitchinterval()

    def undo() -> None:
        if sys.getswitchinterval() == ours:  # else somebody has set it since
            sys.setswitchinterval(before)

    return undo


def one_blas_thread(controller: Any) -> Undo:
    """Hold BLAS, as a controller of ``threadpoolctl`` sees it, to one thread.

    Who lets go may be another thread than who took hold. Newer versions of ``threadpoolctl`` listen
    to one thread alone and say nothing to others, so each call leaves the rule to whoever is next.
    """

    def open_to_all() -> None:
        for library in controller.lib_controllers:
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=True)

    open_to_all()
    limits = controller.limit(limits=1, user_api="blas")
    open_to_all()

    def undo() -> None:
        open_to_all()
        limits.restore_original_limits()
        open_to_all()

    return undo


#: How many threads BLAS computes with.
BLAS = ProcessSetting()

#: How soon the interpreter passes to another thread.
SWITCH_INTERVAL_SETTING = ProcessSetting()
