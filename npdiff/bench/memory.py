"""The most memory that something takes while it runs, as the operating system counts it."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_growth(run: Callable[[], object]) -> float | None:
    """Bytes by which the process's memory at its highest exceeds what it holds before ``run``.

    The high-water mark of the resident set is set back first, where that is allowed. Pages of
    program files, which PyTorch has hundreds of megabytes of, are left out where the system tells
    them apart.

    Returns
    -------
    bytes, or None where the process has held more before and the mark could not be set back
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before, mark = _own(), _mark()
    run()
    highest = _mark()
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


def _own() -> float:
    """What the process holds now, pages of files left out."""
    fields = _fields()
    return fields.get("RssAnon", fields.get("VmRSS", _most()))


def _mark() -> float:
    """The most that it has held, pages of files left out as they are now."""
    fields = _fields()
    files = fields.get("RssFile", 0.0) + fields.get("RssShmem", 0.0)
    return fields["VmHWM"] - files if "VmHWM" in fields else _most()


def _most() -> float:
    import resource  # not on every system

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most if sys.platform == "darwin" else 1024 * most)
