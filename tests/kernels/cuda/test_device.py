"""The calls of CuPy's device: BLAS in column order, types of arguments, and memory errors."""

import ctypes
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.kernels.cuda.device import CuPyDevice, contiguous
from npdiff.kernels.cuda.program import Program
from npdiff.kernels.cuda.settings import Settings, settings, using
from npdiff.runtime.memory import DeviceMemoryError, HostMemoryError, explain_memory_errors

TYPES = {2: np.float16, 0: np.float32, 1: np.float64}  # CUDA's constants


class There:
    """An array as CuPy describes one."""

    def __init__(self, host):
        self.host = host
        self.data = SimpleNamespace(ptr=host.ctypes.data)
        for name in ("dtype", "shape", "strides", "itemsize", "ndim"):
            setattr(self, name, getattr(host, name))


def columns(address, kind, rows, count, leading, batch=1, stride=0):
    """The matrices (rows, count) in column order at an address, as BLAS sees them."""
    dtype = np.dtype(TYPES[kind])
    size = (batch - 1) * stride + (count - 1) * leading + rows
    flat = np.frombuffer((ctypes.c_char * (size * dtype.itemsize)).from_address(address), dtype)
    steps = np.array([stride, 1, leading]) * dtype.itemsize
    return np.lib.stride_tricks.as_strided(flat, (batch, rows, count), steps, writeable=True)


class CuBLAS(ModuleType):
    """gemmEx and gemmStridedBatchedEx as cuBLAS's manual defines them, on the host."""

    CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_GEMM_DEFAULT = 0, 1, -1
    CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_32F_FAST_TF32 = 68, 70, 77

    def gemmEx(self, *args):  # noqa: N802
        """One matrix of each is a stack of one."""
        (*head, A, At, lda, B, Bt, ldb, beta, C, Ct, ldc, compute, algorithm) = args
        stacked = (A, At, lda, 0, B, Bt, ldb, 0, beta, C, Ct, ldc, 0, 1)
        self.gemmStridedBatchedEx(*head, *stacked, compute, algorithm)

    def gemmStridedBatchedEx(  # noqa: N802
        self, handle, ta, tb, m, n, k, alpha, A, At, lda, sa, B, Bt, ldb, sb, beta, C, Ct, ldc, sc,
        batch, compute, algorithm,
    ):  # fmt: skip
        assert (handle, algorithm) == ("handle", -1)
        self.computed.append(compute)
        factor = ctypes.c_double if compute == 70 else ctypes.c_float
        alpha, beta = (factor.from_address(a).value for a in (alpha, beta))
        a = columns(A, At, *((k, m) if ta else (m, k)), lda, batch, sa)
        b = columns(B, Bt, *((n, k) if tb else (k, n)), ldb, batch, sb)
        c = columns(C, Ct, m, n, ldc, batch, sc)
        a, b = (x.swapaxes(1, 2) if t else x for x, t in ((a, ta), (b, tb)))
        c[...] = alpha * (a.astype(c.dtype) @ b.astype(c.dtype)) + (beta * c if beta else 0.0)


@pytest.fixture
def cupy(monkeypatch):
    """Fake modules of CuPy, with the functions that the device uses."""
    compiled = []

    class RawModule:
        def __init__(self, code, options):
            compiled.append(code)
            assert options == ("-std=c++17",)

        def get_function(self, name):
            return lambda grid, block, args: launched.append((name, grid, block, args))

    launched, cublas = [], CuBLAS("cublas")
    cublas.computed = []
    linalg = ModuleType("cupy._core._routines_linalg")
    kinds = {"float32": 1}
    linalg.COMPUTE_TYPE_TF32, linalg.COMPUTE_TYPE_DEFAULT = 7, 1
    linalg.get_compute_type, linalg.set_compute_type = kinds.__getitem__, kinds.__setitem__
    cupy, backends = ModuleType("cupy"), ModuleType("cupy_backends.cuda.libs")
    cupy.cuda = SimpleNamespace(
        runtime=SimpleNamespace(
            CUDA_R_16F=2, CUDA_R_32F=0, CUDA_R_64F=1, memGetInfo=lambda: (3 * 2**30, 140 * 2**30)
        ),
        device=SimpleNamespace(get_cublas_handle=lambda: "handle"),
    )
    cupy.RawModule, cupy._core, backends.cublas = RawModule, ModuleType("cupy._core"), cublas
    cupy._core._routines_linalg, cupy._core.set_compute_type = linalg, linalg.set_compute_type
    freed = []
    cupy.get_default_memory_pool = lambda: SimpleNamespace(free_all_blocks=lambda: freed.append(1))
    for name, module in {
        "cupy": cupy, "cupy._core": cupy._core, "cupy_backends.cuda.libs": backends,
        "cupy_backends": ModuleType("cupy_backends"),
        "cupy_backends.cuda": ModuleType("cupy_backends.cuda"),
    }.items():  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module)
    return SimpleNamespace(
        compiled=compiled, launched=launched, cublas=cublas, kinds=kinds, freed=freed, linalg=linalg
    )


def integers(*shape, seed, dtype):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("batch", [(), (4,)], ids=["one", "stack"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_products_equal_numpys(cupy, dtype, batch, transposed, add):
    """Exactly, for small integers; also of views of wider matrices, like shifted arrays."""
    M, K, N = 3, 5, 2
    shapes = [(K, M) if transposed[0] else (M, K), (N, K) if transposed[1] else (K, N)]
    sums = np.float64 if dtype == np.float64 else np.float32
    a, b = (integers(*batch, *s, seed=i, dtype=dtype) for i, s in enumerate(shapes))
    a_wide = integers(*batch, shapes[0][0] + 2, shapes[0][1] + 3, seed=5, dtype=dtype)
    a_wide[..., 1 : 1 + shapes[0][0], : shapes[0][1]] = a
    out = integers(*batch, M, N, seed=3, dtype=sums)
    before = out.copy()
    view = a_wide[..., 1 : 1 + shapes[0][0], : shapes[0][1]]
    device = CuPyDevice()
    device.multiply(There(view), There(b), There(out), transposed=transposed, add=add, tf32=True)
    a, b = (m.swapaxes(-1, -2) if t else m for m, t in zip((a, b), transposed, strict=True))
    np.testing.assert_array_equal(out, a.astype(sums) @ b.astype(sums) + add * before)
    assert cupy.cublas.computed == [{np.float16: 68, np.float32: 77, np.float64: 70}[dtype]]


def test_products_are_true_float32_by_default(cupy):
    a = np.ones((2, 2), np.float32)
    CuPyDevice().multiply(There(a), There(a), There(a.copy()))
    assert cupy.cublas.computed == [68]


def test_contiguous_returns_the_same_array_if_possible():
    """If its elements are in order, for any strides of axes of length 1."""
    a = np.arange(24.0).reshape(2, 3, 4)
    for same in (a, a[:1], a[1:, :, :], a.reshape(2, 1, 12)[:, :, :], a[:, :1][:1]):
        assert contiguous(same) is same
    views = a.T, a[::-1], a[:, ::2], a[..., :2], a[:, :1], np.broadcast_to(a[:1], (2, 3, 4))
    for view in (*views, a.swapaxes(0, 1)):
        there = contiguous(view)
        assert there is not view
        assert there.flags.c_contiguous
        np.testing.assert_array_equal(there, view)


def test_launches_convert_arguments(cupy):
    """A program is compiled once; scalars have the types that the kernels declare."""
    device, program = CuPyDevice(), Program("rows", "float32")
    for _ in range(2):
        device.launch(program, "silu", (3, 1), 256, 5, 0.5, None, np.int64(7), True)
    assert cupy.compiled == [program.text()]
    name, grid, block, args = cupy.launched[0]
    assert (name, grid, block) == ("silu", (3, 1), (256,))
    assert [a.dtype.name for a in args] == ["int32", "float64", "uint64", "int64", "int32"]


def test_settings_apply_to_cupy_s_own_products_and_are_restored(cupy, monkeypatch):
    monkeypatch.delenv("NPDIFF_TF32", raising=False)
    assert settings() == Settings("float32", "auto")
    with using(precision="tf32"):
        assert cupy.kinds == {"float32": 7}
        with using(precision="float32", convolution="shifted"):
            assert cupy.kinds == {"float32": 1}
            assert settings() == Settings("float32", "shifted")
        assert cupy.kinds == {"float32": 7}
    assert cupy.kinds == {"float32": 1}


def test_settings_do_not_change_if_cupy_raises_an_error(cupy, monkeypatch):
    def refuse(kind, how):
        raise RuntimeError("no such products")

    monkeypatch.setattr(cupy.linalg, "set_compute_type", refuse)
    with pytest.raises(RuntimeError, match="no such products"), using(precision="tf32"):
        pass
    assert settings().precision == "float32"


def test_settings_from_the_environment(cupy, monkeypatch):
    CuPyDevice()
    assert cupy.kinds == {"float32": 1}
    monkeypatch.setenv("NPDIFF_TF32", "1")
    assert settings().precision == "tf32"
    CuPyDevice()
    assert cupy.kinds == {"float32": 7}
    monkeypatch.setenv("NPDIFF_TF32", "yes")
    with pytest.raises(InputError, match="NPDIFF_TF32 must be 0 or 1, got 'yes'"):
        settings()
    with pytest.raises(InputError, match="unknown precision 'fp8': choose one of float32"):
        Settings("fp8")
    with pytest.raises(InputError, match="unknown convolution"):
        Settings(convolution="fft")


class OutOfMemoryError(MemoryError):
    """An error with the name of CuPy's."""


def test_out_of_memory_names_the_task_the_free_memory_and_a_remedy(cupy):
    with (
        pytest.raises(DeviceMemoryError) as caught,
        explain_memory_errors(
            "cupy", "a training step of 512 images", "a smaller batch (--batch 256)"
        ),
    ):
        raise OutOfMemoryError("Out of memory allocating 9,000 bytes (allocated so far: 1 bytes).")
    message = str(caught.value)
    for part in ("step of 512 images", "9,000 bytes", "3.0 of 140.0 GiB", "try a smaller batch"):
        assert part in message
    assert isinstance(caught.value, InputError)
    assert cupy.freed  # CuPy's unused memory was released


def test_out_of_memory_is_explained_if_free_memory_is_unknown(cupy, monkeypatch):
    def fail():
        raise RuntimeError

    monkeypatch.setattr(sys.modules["cupy"].cuda.runtime, "memGetInfo", fail)
    with (
        pytest.raises(DeviceMemoryError, match="during this"),
        explain_memory_errors("cupy", "this", "that"),
    ):
        raise OutOfMemoryError


def test_memory_errors_of_the_host_and_of_the_gpu_are_distinguished():
    with (
        pytest.raises(HostMemoryError, match="the host's"),
        explain_memory_errors("cupy", "this", "that"),
    ):
        raise MemoryError("the host's")
    with pytest.raises(KeyError), explain_memory_errors("cupy", "this", "that"):
        raise KeyError
    with (
        pytest.raises(DeviceMemoryError, match="during this"),
        explain_memory_errors("cupy", "this", "that"),
    ):
        raise OutOfMemoryError
