"""Keep freed memory in the process, where large arrays are allocated and freed again and again.

On Linux the C library requests every large array from the kernel and returns it when it is freed.
The kernel fills each page with zeros when it is first touched, which takes longer than most of the
arithmetic in it. A program that allocates the same sizes at every step should keep the memory.
"""

import ctypes
import os
from functools import cache

#: glibc's parameters of ``mallopt``.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8


@cache
def keep_freed_memory() -> bool:
    """Make this process reuse freed memory; returns whether that succeeded.

    For programs that run for a while: their memory then stays at its peak. It is set once, needs
    glibc as the C library, and is not set if the environment has ``NPDIFF_HEAP=system``.
    """
    if os.environ.get("NPDIFF_HEAP") == "system":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    mallopt(_ARENA_MAX, 1)  # all threads can reuse what one of them freed
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    return bool(mallopt(_MMAP_THRESHOLD, 2**30) or mallopt(_MMAP_MAX, 0))
