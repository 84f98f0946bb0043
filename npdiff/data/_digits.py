"""The digits that ship with npdiff: 10,000 images of MNIST, by LeCun, Cortes and Burges."""

from functools import lru_cache
from importlib import resources

import numpy as np

from npdiff.data.dataset import Dataset

#: SHA-256 of the 10,000 x 28 x 28 bytes of the images followed by the 10,000 bytes of the labels.
CONTENT_SHA256 = "bc6b63550c8a82f6ecccd9458252069fb030ee802997b8242e71d5146b0cbf0e"

_MARGIN = 2  # 28 + 2 + 2 = 32, a size that halves five times


@lru_cache(maxsize=1)
def stored() -> tuple[np.ndarray, np.ndarray]:
    """The archive: images (10000, 28, 28) and labels (10000,), uint8, read-only."""
    with (
        (resources.files("npdiff.data") / "digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as archive,
    ):
        images, labels = archive["images"], archive["labels"]
    images.flags.writeable = labels.flags.writeable = False
    return images, labels


def digits() -> Dataset:
    """All 10,000 digits, white on black, 28 x 28 with a margin of 2, which gives 32 x 32."""
    images, labels = stored()
    margin = (_MARGIN, _MARGIN)
    padded = np.pad(images, ((0, 0), margin, margin))[..., None]
    return Dataset(padded, labels.astype(np.int64), tuple("0123456789"))
