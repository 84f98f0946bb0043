"""Atomic file writing: at any moment the file has its complete old or its complete new contents."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from npdiff.errors import InputError

_SUFFIX = ".npdiff-tmp"


@contextmanager
def explain_file_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn an ``OSError`` into an :class:`~npdiff.errors.InputError` that names the file.

    Raises
    ------
    InputError
        For a full disk, a missing permission, or a directory in place of the file.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot {doing} {path}: {reason}") from error


@contextmanager
def atomic(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces ``path`` when the block ends without error.

    The bytes go to a temporary file in the same directory, reach the disk (``fsync``), and are
    renamed over ``path`` in one step. After an error the temporary file is removed and ``path`` is
    unchanged.

    Raises
    ------
    InputError
        If the file cannot be written, for example because the disk is full.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_SUFFIX}")
    with explain_file_errors(path, "write"):
        try:
            with draft.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Make a rename durable, on POSIX systems."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def drafts(directory: Path) -> list[Path]:
    """Temporary files that killed processes left in ``directory``."""
    return sorted(directory.glob(f".*{_SUFFIX}"))


def tensors(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """The bytes of a safetensors file; equal arrays and metadata give equal bytes.

    The safetensors library writes metadata in random order; here they are sorted.
    """
    from safetensors.numpy import save

    data = save(arrays, metadata)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data start at a multiple of eight
    return len(text).to_bytes(8, "little") + text + data[8 + length :]
