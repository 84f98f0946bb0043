"""Progress bars: one line on stderr that works in terminals, log files and notebooks."""

import sys
from typing import Any


def progress_bar(total: int, unit: str, description: str, initial: int = 0) -> Any:
    """A tqdm progress bar; in a log file, which cannot rewrite a line, one line every 30 s.

    Parameters
    ----------
    total : the number of units of work
    unit : what is counted: ``"step"``
    description : the text before the bar
    initial : units that were done before
    """
    from tqdm.auto import tqdm

    interactive = sys.stderr.isatty()
    return tqdm(
        total=total, initial=initial, desc=description, unit=unit, dynamic_ncols=interactive,
        mininterval=0.2 if interactive else 30.0, maxinterval=10.0 if interactive else 60.0,
        smoothing=0.1,
        delay=0.2,  # an error raised at once leaves no bar
    )  # fmt: skip
