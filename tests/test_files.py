"""Atomic files: complete or unchanged after each kind of failure, and reproducible bytes."""

import errno
import os

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.files import atomic, drafts, tensors


def test_the_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic(path) as file:
        file.write(b"new, ")
        file.flush()
        assert path.read_bytes() == b"old"
        assert len(drafts(tmp_path)) == 1
        file.write(b"and whole")
    assert path.read_bytes() == b"new, and whole"
    assert os.listdir(tmp_path) == ["file"]


def test_an_error_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted():
        with atomic(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_raises_one_line_and_leaves_the_old_file(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "file"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        expected = pytest.raises(InputError, match=r"^cannot write .*file: File too large$")
        with expected, atomic(path) as file:
            file.write(bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_failed_sync_leaves_the_old_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"), atomic(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_missing_directory_or_a_directory_as_target_is_an_input_error(tmp_path):
    expected = pytest.raises(InputError, match=r"cannot write .*No such file")
    with expected, atomic(tmp_path / "nowhere" / "file"):
        pass
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "by").touch()
    with pytest.raises(InputError, match=r"cannot write .*taken"), atomic(tmp_path / "taken"):
        pass
    assert os.listdir(tmp_path) == ["taken"]


def test_the_file_has_default_permissions(tmp_path):
    (tmp_path / "plain").touch()
    with atomic(tmp_path / "atomic"):
        pass
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_equal_tensors_give_equal_bytes_that_safetensors_reads(tmp_path):
    """Without sorted metadata these files would be equal with probability 1 in 6!."""
    from safetensors import safe_open

    arrays = {"b": np.arange(5.0), "a": np.ones((2, 3), np.float32)}
    metadata = {name: f"\u00e9 {name}" for name in "qwerty"}
    first = tensors(arrays, metadata)
    reversed_order = dict(reversed(metadata.items()))
    assert all(tensors(arrays, reversed_order) == first for _ in range(5))
    (tmp_path / "x").write_bytes(first)
    with safe_open(tmp_path / "x", framework="numpy") as file:
        assert file.metadata() == metadata
        for name, array in arrays.items():
            np.testing.assert_array_equal(file.get_tensor(name), array)
