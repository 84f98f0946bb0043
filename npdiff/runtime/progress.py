"""Progress bars: one line on stderr in terminals, log files and notebooks."""

import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol, Self

#: How a long call reports progress: True for a bar, False for silence, or a function that is
#: called with the units done so far and their total.
ProgressOption = bool | Callable[[int, int], object]


class ProgressBar(Protocol):
    """The part of tqdm's interface that npdiff uses."""

    n: int

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def update(self, n: int = 1) -> object:
        """Count ``n`` more units as done."""

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> object:
        """Set the text after the bar."""

    def unpause(self) -> object:
        """Restart the timing behind the speed estimate."""


class CallbackBar:
    """A progress bar that displays nothing and reports each update to a callback.

    >>> with CallbackBar(3, lambda done, total: print(f"{done} of {total}")) as bar:
    ...     bar.update()
    ...     bar.update(2)
    1 of 3
    3 of 3
    """

    def __init__(self, total: int, callback: Callable[[int, int], object] | None = None) -> None:
        self.n, self.total = 0, total
        self._callback, self._lock = callback, threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def update(self, n: int = 1) -> None:
        """Count ``n`` more units as done."""
        with self._lock:  # worker threads update one bar
            self.n += n
            if self._callback is not None and n:
                self._callback(self.n, self.total)

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Nothing is displayed."""

    def unpause(self) -> None:
        """No speed is estimated."""


def progress_bar(
    total: int, unit: str, description: str, initial: int = 0, *, progress: ProgressOption = True
) -> ProgressBar:
    """A tqdm progress bar; in a log file, which cannot rewrite a line, one line every 30 s.

    Parameters
    ----------
    total : the number of units of work
    unit : what is counted: ``"step"``
    description : the text before the bar
    initial : units that were done before
    progress : False displays nothing; a function is called with (done, total) after every update
    """
    if progress is not True:
        bar = CallbackBar(total, progress if callable(progress) else None)
        bar.n = initial
        return bar
    try:
        from tqdm.auto import tqdm
    except ModuleNotFoundError:  # tqdm is optional: WebAssembly
        return CallbackBar(total)
    interactive = sys.stderr.isatty() or "ipykernel" in sys.modules
    bar_class: Any = tqdm
    return bar_class(
        total=total, initial=initial, desc=description, unit=unit, dynamic_ncols=interactive,
        mininterval=0.2 if interactive else 30.0, maxinterval=10.0 if interactive else 60.0,
        smoothing=0.1,
        delay=0.2,  # an error raised at once leaves no bar
    )  # fmt: skip
