"""The peak memory of a function call, as the operating system counts it."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_growth(run: Callable[[], object]) -> float | None:
    """The peak memory of the process during ``run``, minus its memory before, in bytes.

    The high-water mark of the resident set is reset first, where that is allowed. Pages of program
    files, of which PyTorch has hundreds of megabytes, are excluded where the system counts them
    separately.

    Returns
    -------
    bytes, or None if an earlier peak was higher and the mark could not be reset
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before, mark = _current(), _peak()
    run()
    highest = _peak()
    if highest <= mark and mark > 1.01 * before:
        return None
    return max(0.0, highest - before)


def _fields() -> dict[str, float]:
    """The sizes in /proc/self/status, in bytes."""
    with suppress(OSError):
        lines = (line.split() for line in _STATUS.read_text().splitlines())
        return {
            words[0].rstrip(":"): 1024.0 * int(words[1]) for words in lines if words[-1] == "kB"
        }
    return {}


def _current() -> float:
    """The memory of the process now, without pages of files."""
    fields = _fields()
    return fields.get("RssAnon", fields.get("VmRSS", _peak_by_resource()))


def _peak() -> float:
    """The peak memory of the process, minus its current pages of files."""
    fields = _fields()
    files = fields.get("RssFile", 0.0) + fields.get("RssShmem", 0.0)
    return fields["VmHWM"] - files if "VmHWM" in fields else _peak_by_resource()


def _peak_by_resource() -> float:
    import resource  # not on every system

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most if sys.platform == "darwin" else 1024 * most)
