"""Peak memory: what is allocated is seen, what was freed before is not."""

from pathlib import Path

import numpy as np
import pytest

from npdiff.bench.memory import peak_growth

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the mark can be set back on Linux alone"
)


def touch(megabytes: int) -> None:
    """Hold memory and let go of it."""
    np.ones(megabytes * 2**17)


def test_the_highest_not_the_last() -> None:
    def run() -> None:
        touch(64)
        touch(16)

    growth = peak_growth(run)
    assert growth is not None
    assert growth / 2**20 == pytest.approx(64, abs=4)


def test_what_was_held_before_does_not_count() -> None:
    touch(128)
    growth = peak_growth(lambda: touch(32))
    assert growth is not None
    assert growth / 2**20 == pytest.approx(32, abs=4)


def test_nothing() -> None:
    growth = peak_growth(lambda: None)
    assert growth is not None
    assert growth < 2 * 2**20
