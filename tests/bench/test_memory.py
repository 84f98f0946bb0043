"""Peak memory counts allocations during the call, and not memory that was freed before."""

from pathlib import Path

import numpy as np
import pytest

from npdiff.bench.memory import peak_growth

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(),
    reason="the high-water mark can be reset only on Linux",
)


def touch(megabytes: int) -> None:
    """Allocate memory and free it."""
    np.ones(megabytes * 2**17)


def test_the_peak_counts_not_the_last_allocation() -> None:
    def run() -> None:
        touch(64)
        touch(16)

    growth = peak_growth(run)
    assert growth is not None
    assert growth / 2**20 == pytest.approx(64, abs=4)


def test_memory_freed_before_does_not_count() -> None:
    touch(128)
    growth = peak_growth(lambda: touch(32))
    assert growth is not None
    assert growth / 2**20 == pytest.approx(32, abs=4)


def test_a_call_without_allocations_has_no_peak() -> None:
    growth = peak_growth(lambda: None)
    assert growth is not None
    assert growth < 2 * 2**20
