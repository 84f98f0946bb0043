import errno
import os

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.files import atomic, drafts, tensors


def test_the_file_appears_whole_when_the_block_ends(tmp_path):
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


def test_after_an_error_the_old_file_is_intact_and_nothing_else_is_left(tmp_path):
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


def test_a_full_disk_is_said_in_one_line_and_the_old_file_is_intact(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "file"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        said = pytest.raises(InputError, match=r"^cannot write .*file: File too large$")
        with said, atomic(path) as file:
            file.write(bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_disk_that_fails_to_sync_leaves_the_old_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"), atomic(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_missing_directory_or_a_directory_in_the_way_is_an_input_error(tmp_path):
    said = pytest.raises(InputError, match=r"cannot write .*No such file")
    with said, atomic(tmp_path / "nowhere" / "file"):
        pass
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "by").touch()
    with pytest.raises(InputError, match=r"cannot write .*taken"), atomic(tmp_path / "taken"):
        pass
    assert os.listdir(tmp_path) == ["taken"]


def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    with atomic(tmp_path / "atomic"):
        pass
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_equal_tensors_are_equal_files_that_the_library_reads(tmp_path):
    """The library alone orders the metadata anew each time: one in 6! of these would be equal."""
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
