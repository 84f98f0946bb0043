"""The interface to a device that launches kernels and multiplies matrices, and CuPy's GPU."""

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.kernels.cuda.program import Program, typed
from npdiff.kernels.cuda.settings import cupy_products, settings


class Device(Protocol):
    """A GPU, or the emulator that tests use instead."""

    def launch(
        self, program: Program, kernel: str, grid: tuple[int, int], block: int, *args: Any
    ) -> None:
        """Launch a kernel of a program.

        Parameters
        ----------
        grid, block : numbers of blocks along two axes, and number of threads in a block
        args : C-contiguous arrays of the device, None for a null pointer, integers for ``int``,
            floats for ``double``, NumPy's scalars for other types
        """
        ...

    def multiply(
        self,
        a: Array,
        b: Array,
        out: Array,
        *,
        transposed: tuple[bool, bool] = (False, False),
        add: bool = False,
        tf32: bool = False,
    ) -> None:
        """``out = a @ b``, or ``out += a @ b``.

        Parameters
        ----------
        a, b, out : matrices, or stacks of as many matrices; each row is contiguous
        transposed : whether to transpose a, and whether to transpose b
        add : whether to add the product to ``out``
        tf32 : whether factors may be rounded to 10 fraction bits; sums are in float32
        """
        ...


class CuPyDevice:
    """The current GPU of CuPy."""

    def __init__(self) -> None:
        import cupy
        from cupy_backends.cuda.libs import cublas  # type: ignore[import-not-found]

        self._cupy, self._cublas = cupy, cublas
        runtime = cupy.cuda.runtime
        self._types = {
            "float16": runtime.CUDA_R_16F,
            "float32": runtime.CUDA_R_32F,
            "float64": runtime.CUDA_R_64F,
        }
        self._factors = {
            (kind, value): np.array(value, dtype=kind)  # cuBLAS reads them from the host
            for kind in ("float32", "float64")
            for value in (0.0, 1.0)
        }
        self._module = cache(self._compiled)
        if settings().precision == "tf32":  # set by NPDIFF_TF32
            cupy_products("tf32")

    def _compiled(self, program: Program) -> Any:
        return self._cupy.RawModule(code=program.text(), options=("-std=c++17",))

    def launch(
        self, program: Program, kernel: str, grid: tuple[int, int], block: int, *args: Any
    ) -> None:
        """See :class:`Device`."""
        self._module(program).get_function(kernel)(grid, (block,), tuple(typed(args)))

    def multiply(
        self,
        a: Array,
        b: Array,
        out: Array,
        *,
        transposed: tuple[bool, bool] = (False, False),
        add: bool = False,
        tf32: bool = False,
    ) -> None:
        """See :class:`Device`.

        cuBLAS stores matrices by columns, so it computes the transpose, ``b.T @ a.T``.
        """
        cublas = self._cublas
        rows, columns = out.shape[-2:]
        inner = a.shape[-2] if transposed[0] else a.shape[-1]
        double = out.dtype == np.float64
        sums = "float64" if double else "float32"
        compute = cublas.CUBLAS_COMPUTE_64F if double else cublas.CUBLAS_COMPUTE_32F
        if tf32 and a.dtype == np.float32:
            compute = cublas.CUBLAS_COMPUTE_32F_FAST_TF32
        ops = [cublas.CUBLAS_OP_T if t else cublas.CUBLAS_OP_N for t in transposed]
        one, beta = self._factors[sums, 1.0], self._factors[sums, float(add)]
        handle = self._cupy.cuda.device.get_cublas_handle()
        head = (handle, ops[1], ops[0], columns, rows, inner, one.ctypes.data)
        if out.ndim == 2:
            A, B, C = (self._layout(m)[:3] for m in (a, b, out))
            cublas.gemmEx(*head, *B, *A, beta.ctypes.data, *C, compute, cublas.CUBLAS_GEMM_DEFAULT)
        else:
            A, B, C = (self._layout(m) for m in (a, b, out))
            cublas.gemmStridedBatchedEx(
                *head, *B, *A, beta.ctypes.data, *C,
                out.shape[0], compute, cublas.CUBLAS_GEMM_DEFAULT,
            )  # fmt: skip

    def _layout(self, m: Array) -> tuple[int, ...]:
        """Address, type code, and the strides of rows and of matrices, in elements."""
        size = m.itemsize
        return m.data.ptr, self._types[m.dtype.name], m.strides[-2] // size, m.strides[0] // size


#: Factories of devices, by the package of an array's type.
DEVICES: dict[str, Callable[[], Device]] = {"cupy": cache(CuPyDevice)}


def device_of(*arrays: Array | None) -> Device | None:
    """The device of float32 or float64 arrays of one dtype, or None if there is none."""
    given = [a for a in arrays if a is not None]
    make = DEVICES.get(type(given[0]).__module__.partition(".")[0])
    if make is None or given[0].dtype.name not in ("float32", "float64"):
        return None
    if any(type(a) is not type(given[0]) or a.dtype != given[0].dtype for a in given):
        return None
    return make()


def are_compatible(x: Array, *others: tuple[Array | None, tuple[int, ...]]) -> bool:
    """Whether the other arrays (None aside) have these shapes and the type and dtype of x."""
    given = [(a, shape) for a, shape in others if a is not None]
    return all(
        type(a) is type(x) and a.dtype == x.dtype and tuple(a.shape) == shape for a, shape in given
    )


def contiguous(a: Array) -> Array:
    """``a`` itself if it is C-contiguous, so that caches by identity find it, else a copy."""
    step = a.itemsize
    for size, stride in zip(a.shape[::-1], a.strides[::-1], strict=True):
        if size != 1 and stride != step:
            return namespace(a).ascontiguousarray(a)
        step *= size
    return a
