"""Freed memory stays with the process; tested in separate processes."""

import os
import subprocess
import sys

import pytest

#: Counts the page faults of allocating and filling large arrays after the first few.
PROGRAM = """
import resource, sys
import numpy as np
from npdiff.runtime.heap import keep_freed_memory

kept = keep_freed_memory()
sizes = [2**25, 2**24, 2**23]
def rounds(count):
    for _ in range(count):
        arrays = [np.empty(size, np.uint8) for size in sizes]
        for a in arrays:
            a[::4096] = 1
rounds(3)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
rounds(10)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(int(kept), int(keep_freed_memory()), faults)
"""


def run(**environment: str) -> tuple[int, int, int]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, again, faults = map(int, done.stdout.split())
    return kept, again, faults


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_kept_memory_causes_no_page_faults() -> None:
    kept, again, faults = run()
    if not kept:
        pytest.skip("another C library")
    assert again
    _, _, returned = run(NPDIFF_HEAP="system")
    assert faults < 20 < returned


def test_the_environment_can_disable_it() -> None:
    assert run(NPDIFF_HEAP="system")[:2] == (0, 0)
