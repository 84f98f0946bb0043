"""Peak memory counts allocations during the call, and not memory that was freed before."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(),
    reason="the high-water mark can be reset only on Linux",
)

# A separate process: another test may have changed how this one returns freed memory.
SCRIPT = """
import numpy as np
from npdiff.bench.memory import peak_growth

def touch(megabytes):
    np.ones(megabytes * 2**17)

def run():
    for megabytes in {during}:
        touch(megabytes)

for megabytes in {before}:
    touch(megabytes)
print(peak_growth(run) / 2**20)
"""


def peak(before: tuple[int, ...], during: tuple[int, ...]) -> float:
    """The peak growth in MiB of allocations of these sizes, after others were freed."""
    script = SCRIPT.format(before=before, during=during)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_the_peak_counts_not_the_last_allocation() -> None:
    assert peak(before=(), during=(64, 16)) == pytest.approx(64, abs=4)


def test_memory_freed_before_does_not_count() -> None:
    assert peak(before=(128,), during=(32,)) == pytest.approx(32, abs=4)


def test_a_call_without_allocations_has_no_peak() -> None:
    assert peak(before=(), during=()) < 2
