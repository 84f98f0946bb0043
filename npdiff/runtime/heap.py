"""Large arrays that are made and freed again and again, kept by the process instead of returned.

The C library of Linux asks the kernel for every large array and gives it back when it is freed.
The kernel clears each page when it is first touched, which takes longer than most arithmetic done
in it. A program that makes arrays of the same sizes step after step had better keep them.
"""

import ctypes
import os
from functools import cache

#: glibc's parameters of ``mallopt``.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8


@cache
def keep_freed_memory() -> bool:
    """Let this process reuse freed memory rather than give it back; whether that could be arranged.

    For programs that run for a while: the memory in use does not fall below its peak any more. It
    is asked for once, where the C library is glibc, and not with ``NPDIFF_HEAP=system`` in the
    environment.
    """
    if os.environ.get("NPDIFF_HEAP") == "system":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    mallopt(_ARENA_MAX, 1)  # freed by one thread, of use to all
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    return bool(mallopt(_MMAP_THRESHOLD, 2**30) or mallopt(_MMAP_MAX, 0))
