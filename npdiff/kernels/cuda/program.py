"""The text of the kernels: a file of ``source/`` with what stands before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from npdiff.kernels.cook_toom import matrices

SOURCE = Path(__file__).parent / "source"

#: Threads that the largest block has.
THREADS = 256

#: The types of C by the names of NumPy's.
TYPES = {"float16": "half", "float32": "float", "float64": "double"}

_STORED = """
__device__ inline STORE stored(REAL v) {{ return {how}; }}
"""
# Numbers beyond the range of half become its largest, not infinity; what is no number stays none.
_HALF = "v > REAL(65504) ? STORE(65504.0f) : v < REAL(-65504) ? STORE(-65504.0f) : STORE(float(v))"


@dataclass(frozen=True)
class Program:
    """A file of kernels, for numbers of one type.

    Parameters
    ----------
    file : name in ``source/``, without its ending
    real : NumPy's name of the type of the numbers, ``"float32"`` or ``"float64"``
    store : the same of what convolutions read, ``"float16"`` or the same as ``real``
    outputs : of a tile of Winograd's, where the file is about that
    """

    file: str
    real: str
    store: str | None = None
    outputs: int | None = None

    def text(self) -> str:
        """The whole of it, in CUDA C++."""
        store = self.store or self.real
        head = [f"#define REAL {TYPES[self.real]}", f"#define STORE {TYPES[store]}"]
        if store == "float16":
            head.insert(0, "#include <cuda_fp16.h>")
        head.append(f"#define THREADS {THREADS}")
        head.append(_STORED.format(how=_HALF if store == "float16" else "v"))
        if self.outputs is not None:
            head.append(f"#define OUT {self.outputs}\n#define IN {self.outputs + 2}")
            for name, rows in zip(
                ("AT", "G", "BT"), matrices(self.outputs, 3).arrays(), strict=True
            ):
                head.append(f"#define {name}_ROWS {_braced(rows)}")
        return "\n".join([*head, _read("common.cuh"), _read(f"{self.file}.cu")])


@cache
def _read(name: str) -> str:
    return (SOURCE / name).read_text(encoding="utf-8")


def _braced(matrix: np.ndarray) -> str:
    rows = (", ".join(repr(float(a)) for a in row) for row in matrix)
    return "{" + ", ".join("{" + row + "}" for row in rows) + "}"


def grid(count: int) -> tuple[int, int]:
    """Blocks of :data:`THREADS` that have a thread for each of ``count``."""
    return -(-count // THREADS), 1


def typed(args: Sequence[Any]) -> list[Any]:
    """Arguments as a kernel takes them: ``int``, ``double``, no pointer for None.

    A number of another type (``long long``, ``unsigned``) is passed as NumPy's.
    """
    converted: list[Any] = []
    for a in args:
        if a is None:
            converted.append(np.uint64(0))
        elif isinstance(a, bool | int):
            converted.append(np.int32(a))
        elif isinstance(a, float):
            converted.append(np.float64(a))
        else:
            converted.append(a)
    return converted
