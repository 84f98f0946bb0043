"""Slices that divide a range cover it once and in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff.slices import split_evenly, split_range


@pytest.mark.parametrize(
    ("start", "stop", "size"),
    [(0, 1, 1), (0, 7, 3), (0, 8, 4), (0, 3, 100), (4, 4, 2), (5, 9, 4), (1, 3, 100)],
)
def test_slices_of_a_fixed_size(start: int, stop: int, size: int) -> None:
    slices = split_range(stop, size, start)
    assert [i for part in slices for i in range(stop)[part]] == list(range(start, stop))
    assert all(part.stop - part.start == size for part in slices[:-1])


@given(st.integers(0, 50), st.integers(1, 60))
def test_even_slices_differ_by_at_most_one_element(count: int, parts: int) -> None:
    slices = split_evenly(count, parts)
    assert [i for part in slices for i in range(count)[part]] == list(range(count))
    sizes = [part.stop - part.start for part in slices]
    assert len(sizes) == parts
    assert max(sizes) - min(sizes) <= 1
