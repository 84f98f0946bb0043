"""Resampling against NumPy's repeat and slices, round trips and central differences."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.errors import InputError
from npdiff.verify import pullback


@st.composite
def images(draw):
    """A small image with 1 to 3 spatial axes, and a factor."""
    dims, factor = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    n, c, *space = draw(st.tuples(*[st.integers(1, 3)] * (2 + dims)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.standard_normal((n, *space, c)), factor


def repeated(x, factor):
    for axis in range(1, x.ndim - 1):
        x = np.repeat(x, factor, axis=axis)
    return x


@given(images(), st.data())
def test_upsample_repeats_positions(case, data) -> None:
    x, factor = case
    y, _ = ops.upsample(x, factor=factor)
    np.testing.assert_array_equal(y, repeated(x, factor))
    pullback(ops.upsample, x, factor=factor).check()
    size = tuple(data.draw(st.integers(1, n * factor)) for n in x.shape[1:-1])
    cut, _ = ops.upsample(x, factor=factor, size=size)
    np.testing.assert_array_equal(cut, y[(slice(None), *map(slice, size))])
    pullback(ops.upsample, x, factor=factor, size=size).check()


@given(images())
def test_average_pool_is_the_mean_over_cells(case) -> None:
    small, factor = case
    x = repeated(small, factor)
    np.testing.assert_allclose(ops.average_pool(x, factor=factor)[0], small, rtol=1e-13)
    x = x + np.random.default_rng(1).standard_normal(x.shape)
    taps = [
        x[(slice(None), *(slice(k, None, factor) for k in tap))]
        for tap in product(range(factor), repeat=x.ndim - 2)
    ]
    y, _ = ops.average_pool(x, factor=factor)
    np.testing.assert_allclose(y, sum(taps) / len(taps), rtol=1e-12, atol=1e-13)
    pullback(ops.average_pool, x, factor=factor).check()


@given(images())
def test_space_to_depth_and_depth_to_space_are_inverses(case) -> None:
    """Each block of channels is one strided slice; the round trip is the identity."""
    small, factor = case
    x = np.random.default_rng(2).standard_normal(repeated(small, factor).shape)
    deep, deep_pullback = ops.space_to_depth(x, factor=factor)
    slices = [
        x[(slice(None), *(slice(k, None, factor) for k in tap))]
        for tap in product(range(factor), repeat=x.ndim - 2)
    ]
    np.testing.assert_array_equal(deep, np.concatenate(slices, axis=-1))
    wide, wide_pullback = ops.depth_to_space(deep, factor=factor)
    np.testing.assert_array_equal(wide, x)
    # A permutation is orthogonal: its transpose is its inverse.
    np.testing.assert_array_equal(deep_pullback(deep)[0], x)
    np.testing.assert_array_equal(wide_pullback(wide)[0], deep)
    pullback(ops.space_to_depth, x, factor=factor).check()
    pullback(ops.depth_to_space, deep, factor=factor).check()


def test_wrong_sizes_are_rejected() -> None:
    x = np.zeros((1, 4, 5, 2))
    with pytest.raises(InputError, match="average_pool: a factor of 2 does not divide"):
        ops.average_pool(x)
    with pytest.raises(InputError, match="space_to_depth: a factor of 2 does not divide"):
        ops.space_to_depth(x)
    with pytest.raises(InputError, match="2 channels are not a multiple of"):
        ops.depth_to_space(x)
    with pytest.raises(InputError, match=r"at most \(8, 10\), 2 times that of x, got \(8, 11\)"):
        ops.upsample(x, size=(8, 11))
    with pytest.raises(
        InputError, match=r"2 entries of at most \(8, 10\), 2 times that of x, got \(8,\)"
    ):
        ops.upsample(x, size=(8,))
