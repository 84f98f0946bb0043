"""Splits, the order that they are based on, and the conversion from bytes to floats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npdiff import data
from npdiff.data.dataset import Dataset, stratified_order, take_split
from npdiff.errors import InputError


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_every_slice_contains_the_classes_in_proportion(counts, seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    order = stratified_order(labels)
    assert sorted(order) == list(range(labels.size))
    first, last = sorted(rng.integers(0, labels.size + 1, size=2))
    expected = np.array(counts) * (last - first) / labels.size
    got = np.bincount(labels[order[first:last]], minlength=len(counts))
    assert np.abs(got - expected).max() <= len(counts)


def test_splits_are_a_partition():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(57, 2, 2, 1)).astype(np.uint8)
    images[:, 0, 0, 0] = np.arange(57)
    whole = Dataset(images, rng.integers(0, 3, size=57), ("a", "b", "c"))
    train, test, everything = (take_split(whole, name) for name in ("train", "test", "all"))
    assert len(test.labels) == 5
    ids = np.concatenate([train.images, test.images])[:, 0, 0, 0]
    assert sorted(ids) == list(range(57))
    assert everything is whole
    for part in (train, test):
        assert np.array_equal(part.labels, whole.labels[part.images[:, 0, 0, 0]])
        assert part.classes == whole.classes


def test_order_of_files_does_not_affect_the_splits():
    """A property that depends on the order of the files is distributed equally."""
    place = np.arange(4000)
    images = np.zeros((4000, 1, 1, 1), np.uint8)
    images[:, 0, 0, 0] = place // 16  # 0 .. 249
    whole = Dataset(images, place % 2, ("a", "b"))
    for name, count in (("train", 3600), ("test", 400)):
        part = take_split(whole, name).images.astype(float)
        # uniform on 0 .. 249: standard deviation 72; drawn without replacement
        assert abs(part.mean() - 124.5) < 4 * 72 / np.sqrt(count)
        assert abs(part[: count // 4].mean() - 124.5) < 4 * 72 / np.sqrt(count / 4)


def test_without_shuffle_the_test_split_is_the_last_of_each_class():
    labels = np.repeat([0, 1], [30, 20])
    images = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1)
    test = take_split(Dataset(images, labels, ("a", "b")), "test", shuffle=False)
    assert sorted(test.images.ravel()) == [27, 28, 29, 48, 49]


def test_unknown_or_empty_split_is_refused():
    few = Dataset(np.zeros((9, 2, 2, 1), np.uint8), np.zeros(9, np.int64), ("a",))
    assert len(take_split(few, "train").labels) == 9
    with pytest.raises(InputError, match="9 images are too few"):
        take_split(few, "test")
    with pytest.raises(InputError, match="unknown split 'valid'"):
        take_split(few, "valid")


def test_to_float_maps_bytes_linearly_to_minus_one_and_one():
    b = np.arange(256, dtype=np.uint8)
    for dtype in (np.float32, np.float64):
        x = data.to_float(b, dtype)
        assert x.dtype == dtype
        np.testing.assert_allclose(x, np.linspace(-1, 1, 256), atol=1e-7)
    assert np.array_equal(np.rint((x + 1.0) * 127.5), b)
    with pytest.raises(InputError, match="uint8"):
        data.to_float(b.astype(np.float32))
