"""The source of the kernels: a file of ``source/`` after definitions of types and constants."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from npdiff.kernels.cook_toom import matrices

SOURCE = Path(__file__).parent / "source"

#: Threads of the largest block.
THREADS = 256

#: C types by the names of NumPy's.
TYPES = {"float16": "half", "float32": "float", "float64": "double"}

_STORED = """
__device__ inline STORE stored(REAL v) {{ return {how}; }}
"""
# Values beyond the range of half become its largest value, not infinity; NaN stays NaN.
_HALF = "v > REAL(65504) ? STORE(65504.0f) : v < REAL(-65504) ? STORE(-65504.0f) : STORE(float(v))"


@dataclass(frozen=True)
class Program:
    """A file of kernels, for arrays of one dtype.

    Parameters
    ----------
    file : name in ``source/``, without its suffix
    real : the dtype of the arrays, ``"float32"`` or ``"float64"``
    store : the dtype of a convolution's input, ``"float16"`` or the same as ``real``
    outputs : outputs of a Winograd tile along an axis, for ``winograd.cu``
    """

    file: str
    real: str
    store: str | None = None
    outputs: int | None = None

    def text(self) -> str:
        """The complete source, in CUDA C++."""
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
    """The grid of blocks of :data:`THREADS` threads with one thread for each of ``count``."""
    return -(-count // THREADS), 1


def typed(args: Sequence[Any]) -> list[Any]:
    """Arguments in the types of a kernel: ``int``, ``double``, a null pointer for None.

    A scalar of another type (``long long``, ``unsigned``) must be passed as NumPy's.
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
