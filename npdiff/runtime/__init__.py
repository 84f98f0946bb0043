"""Services for training and sampling: worker threads, process settings, memory."""

from npdiff.runtime.heap import keep_freed_memory
from npdiff.runtime.memory import DeviceMemoryError, HostMemoryError, explain_memory_errors
from npdiff.runtime.shards import SINGLE_MACHINE, Reduction, forward
from npdiff.runtime.threads import ThreadPool, thread_count

__all__ = [
    "SINGLE_MACHINE",
    "DeviceMemoryError",
    "HostMemoryError",
    "Reduction",
    "ThreadPool",
    "explain_memory_errors",
    "forward",
    "keep_freed_memory",
    "thread_count",
]
