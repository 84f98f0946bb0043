"""What training and sampling both stand on: worker threads, process settings, memory."""

from npdiff.runtime.heap import keep_freed_memory
from npdiff.runtime.memory import HostMemoryError, memory_explained
from npdiff.runtime.shards import (
    SINGLE_MACHINE,
    Reduction,
    ThreadPool,
    forward,
    split,
    thread_count,
)

__all__ = [
    "SINGLE_MACHINE",
    "HostMemoryError",
    "Reduction",
    "ThreadPool",
    "forward",
    "keep_freed_memory",
    "memory_explained",
    "split",
    "thread_count",
]
