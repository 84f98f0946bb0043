"""A data set: images, labels, class names; and the one rule that splits it in two."""

from typing import Any, NamedTuple

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.random import Key

SPLITS = ("train", "test", "all")


class Dataset(NamedTuple):
    """Images with their labels.

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


def shuffled(key: Key) -> np.ndarray:
    """The samples of a key in random order: sorted by 64 keyed bits each."""
    bits = key.bits(2)
    return np.argsort((bits[:, 0] << np.uint64(32)) | bits[:, 1], kind="stable")


def interleaved(labels: np.ndarray) -> np.ndarray:
    """An order of the samples in which every contiguous slice holds the classes in proportion.

    The i-th of the n samples of a class stands at the fraction (2 i + 1) / 2 n of the whole, so a
    slice of any length has each class's share to within about one sample; nothing is drawn.

    >>> labels = np.array([0, 0, 0, 0, 1, 1])
    >>> labels[interleaved(labels)].tolist()
    [0, 1, 0, 0, 1, 0]
    """
    counts = np.bincount(labels)
    by_class = np.argsort(labels, kind="stable")
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    rank = np.empty(labels.size, dtype=np.int64)
    rank[by_class] = np.arange(labels.size) - starts
    place = (2 * rank + 1) / (2 * counts[labels])
    return np.lexsort((labels, place))


def split_of(data: Dataset, split: str, *, shuffle: bool = True) -> Dataset:
    """One part of ``data``: ``"test"`` is a tenth, ``"train"`` the rest, ``"all"`` all as it is.

    The images are shuffled with a fixed key (who took a picture, or when, often goes by the order
    of the files), the classes are interleaved, and the last tenth is ``"test"``. So the parts are
    the same on every machine, hold the classes in the same proportions, and differ by chance alone.

    Parameters
    ----------
    data : all of it
    split : ``"train"``, ``"test"`` or ``"all"``
    shuffle : without it, the last tenth of each class in the order given is ``"test"``

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
        order = shuffled(Key(0, order, stream="split"))
    order = order[interleaved(data.labels[order])]
    cut = order.size - order.size // 10
    chosen = order[:cut] if split == "train" else order[cut:]
    if chosen.size == 0:
        raise InputError(
            f"{order.size} images are too few for a test split, which is a tenth of them: "
            "give at least 10, or use split='all'"
        )
    return Dataset(data.images[chosen], data.labels[chosen], data.classes)


def to_float(images: Array, dtype: Any = np.float32) -> Array:
    """Bytes 0 .. 255 as the numbers -1 .. 1 that the models work with: x = b / 127.5 - 1.

    The inverse, with rounding, is :func:`npdiff.report.to_uint8`.

    >>> to_float(np.array([0, 51, 255], dtype=np.uint8)).tolist()
    [-1.0, -0.6000000238418579, 1.0]

    Raises
    ------
    InputError
        If ``images`` is not of bytes.
    """
    xp = namespace(images)
    if images.dtype != xp.uint8:
        raise InputError(f"expected images of uint8, 0 to 255, got {images.dtype}")
    return images.astype(dtype) / dtype(127.5) - dtype(1.0)
