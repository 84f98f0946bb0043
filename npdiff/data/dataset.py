"""The ``Dataset`` record of images, labels and class names, and the rule of the test split."""

from typing import Any, NamedTuple

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.random import Key

SPLITS = ("train", "test", "all")


class Dataset(NamedTuple):
    """Images with labels and class names.

    Attributes
    ----------
    images : uint8 array, shape (N, H, W, C), C = 1 (gray) or 3 (RGB)
    labels : int64 array, shape (N,), each an index into ``classes``
    classes : the names of the classes
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.images.shape[1:]))
        return f"Dataset({len(self.images):,} images of {shape}, {len(self.classes)} classes)"


def check_dataset(data: Any) -> Dataset:
    """``data`` as a Dataset of NumPy arrays, checked.

    Raises
    ------
    InputError
        If the images are not bytes of shape (N, H, W, C), or not every one has a class.
    """
    images, labels = np.asarray(data.images), np.asarray(data.labels)
    classes = tuple(data.classes)
    if images.dtype != np.uint8 or images.ndim < 2:
        raise InputError(
            f"the images of a data set must be uint8 of shape (N, H, W, C), got {images.dtype} of "
            f"shape {images.shape}; npdiff.report.to_uint8 converts floats in [-1, 1]"
        )
    if not len(images):
        raise InputError(
            "there are no images to train on: expected one or more, got an empty data set"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise InputError(
            f"the labels of a data set must be {len(images)} integers, one for each image (zeros "
            f"without classes), got {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= len(classes):
        raise InputError(
            f"the labels of a data set must be from 0 to {len(classes) - 1}, indices into its "
            f"{len(classes)} classes, got {labels.min()} to {labels.max()}"
        )
    return Dataset(images, labels, classes)


def random_order(key: Key) -> np.ndarray:
    """A random order of a key's samples: they are sorted by 64 random bits each."""
    bits = key.bits(2)
    return np.argsort((bits[:, 0] << np.uint64(32)) | bits[:, 1], kind="stable")


def stratified_order(labels: np.ndarray) -> np.ndarray:
    """An order in which every contiguous slice contains the classes in proportion.

    The i-th of the n samples of a class is placed at the fraction (2 i + 1) / 2 n of the whole, so
    the count of each class in a slice is proportional to within about one sample. The order is
    deterministic.

    >>> labels = np.array([0, 0, 0, 0, 1, 1])
    >>> labels[stratified_order(labels)].tolist()
    [0, 1, 0, 0, 1, 0]
    """
    counts = np.bincount(labels)
    by_class = np.argsort(labels, kind="stable")
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    rank = np.empty(labels.size, dtype=np.int64)
    rank[by_class] = np.arange(labels.size) - starts
    position = (2 * rank + 1) / (2 * counts[labels])
    return np.lexsort((labels, position))


def take_split(data: Dataset, split: str, *, shuffle: bool = True) -> Dataset:
    """One split of ``data``: ``"test"`` is a tenth, ``"train"`` the rest, ``"all"`` everything.

    The images are shuffled with a fixed key (the order of files often correlates with who made
    them, or when), the classes are interleaved, and the last tenth is ``"test"``. The splits are
    the same on every machine and contain the classes in the same proportions.

    Parameters
    ----------
    data : the whole data set
    split : ``"train"``, ``"test"`` or ``"all"``
    shuffle : if false, ``"test"`` is the last tenth of each class in the given order

    Raises
    ------
    InputError
        If the split is unknown or would be empty.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    if split == "all":
        return data
    order = np.arange(data.labels.size)
    if shuffle:
        order = random_order(Key(0, order, stream="split"))
    order = order[stratified_order(data.labels[order])]
    cut = order.size - order.size // 10
    chosen = order[:cut] if split == "train" else order[cut:]
    if chosen.size == 0:
        raise InputError(
            f"{order.size} images are too few for a test split, which is a tenth of them: "
            "give at least 10, or use split='all'"
        )
    return Dataset(data.images[chosen], data.labels[chosen], data.classes)


def to_float(images: Array, dtype: Any = np.float32) -> Array:
    """Bytes 0..255 scaled to the range [-1, 1] of the models: x = b / 127.5 - 1.

    The inverse, with rounding, is :func:`npdiff.report.to_uint8`.

    >>> to_float(np.array([0, 51, 255], dtype=np.uint8)).tolist()
    [-1.0, -0.6000000238418579, 1.0]

    Raises
    ------
    InputError
        If ``images`` does not have dtype uint8.
    """
    xp = namespace(images)
    if images.dtype != xp.uint8:
        raise InputError(f"expected images of dtype uint8, 0 to 255, got {images.dtype}")
    return images.astype(dtype) / dtype(127.5) - dtype(1.0)
