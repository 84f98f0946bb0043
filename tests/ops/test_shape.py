"""concat and split: inverses of each other, and central differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.errors import InputError
from npdiff.verify import pullback

sizes = st.integers(1, 4)
shapes = st.lists(sizes, min_size=1, max_size=3)


@given(shapes, sizes, sizes, st.integers(0, 2**32 - 1))
def test_concat_joins_and_its_pullback_splits(shape, left, right, seed) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((*shape, left)), rng.standard_normal((*shape, right))
    y, concat_pullback = ops.concat(a, b)
    np.testing.assert_array_equal(y, np.concatenate([a, b], axis=-1))
    for piece, back in zip((a, b), concat_pullback(y), strict=True):
        np.testing.assert_array_equal(piece, back)
    pullback(ops.concat, a, b).check()


@given(shapes, sizes, sizes, st.integers(0, 2**32 - 1))
def test_split_cuts_and_its_pullback_joins(shape, parts, width, seed) -> None:
    x = np.random.default_rng(seed).standard_normal((*shape, parts * width))
    pieces, split_pullback = ops.split(x, parts=parts)
    for i, piece in enumerate(pieces):
        np.testing.assert_array_equal(piece, x[..., i * width : (i + 1) * width])
        assert np.shares_memory(piece, x)
    np.testing.assert_array_equal(split_pullback(*pieces)[0], x)
    pullback(ops.split, x, parts=parts).check()


def test_wrong_shapes_are_rejected() -> None:
    with pytest.raises(InputError, match="differ before the last axis"):
        ops.concat(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(InputError, match="3 parts do not divide 4 channels"):
        ops.split(np.zeros((2, 4)), parts=3)
