"""Writing a file so that it is at every moment either the old one or the new one, whole."""

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
def explained(path: Path, doing: str) -> Iterator[None]:
    """Turn an operating system's error into one line that names the file.

    Raises
    ------
    InputError
        For a full disk, a missing permission, a directory in a file's place.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot {doing} {path}: {reason}") from error


@contextmanager
def atomic(path: str | Path) -> Iterator[BinaryIO]:
    """A file open for writing that takes the place of ``path`` when the block ends without error.

    The bytes go to a temporary file in the same directory, reach the disk (``fsync``), and are
    renamed over ``path`` in one step. After an error the temporary file is gone and ``path`` is
    what it was.

    Raises
    ------
    InputError
        If it cannot be written: a full disk, say.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_SUFFIX}")
    with explained(path, "write"):
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
    """Make a rename itself durable, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def drafts(directory: Path) -> list[Path]:
    """The temporary files that a killed process left in ``directory``."""
    return sorted(directory.glob(f".*{_SUFFIX}"))


def tensors(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """The contents of a safetensors file: equal arrays and metadata are equal bytes.

    The library writes the metadata in another order each time; here they are sorted.
    """
    from safetensors.numpy import save

    data = save(arrays, metadata)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the numbers start at a multiple of eight
    return len(text).to_bytes(8, "little") + text + data[8 + length :]
