"""An emulated GPU: kernels compiled as plain C++, matrix products by NumPy.

The arrays are the strict stand-in's; the source of the kernels, and all code around it, is what
runs on a GPU. Every array argument of a kernel is between guards of NaN, which a kernel must not
change, and which would spoil the result if it read them.
"""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from npdiff import kernels
from npdiff.kernels.cuda import device as device_module
from npdiff.kernels.cuda.program import typed
from npdiff.verify import strict

COMPILER = shutil.which("g++") or shutil.which("c++")
HERE = Path(__file__).parent
GUARD = 64  # elements before and after

LAUNCHER = """
extern "C" int launch_{name}(int gx, int gy, int threads, {parameters}) {{
    return emulate(gx, gy, threads, [&] {{ {name}({names}); }});
}}
"""


def as_host_code(text):
    """The source of a program for the host, with a launcher for every kernel."""
    text = text.replace("#include <cuda_fp16.h>", "typedef _Float16 half;")
    parts = ['#include "emulation.h"', text]
    for name, parameters in re.findall(r'extern "C" __global__ void (\w+)\(([^)]*)\)', text):
        names = ", ".join(re.findall(r"(\w+)\s*(?:,|$)", parameters))
        parts.append(LAUNCHER.format(name=name, parameters=parameters, names=names))
    return "\n".join(parts)


class Emulator:
    """A :class:`~npdiff.kernels.cuda.device.Device` on the host. Records the names of launches."""

    def __init__(self, folder):
        self.folder, self.libraries, self.log = folder, {}, []

    def library(self, program):
        if program not in self.libraries:
            stem = self.folder / f"program{len(self.libraries)}"
            source, built = stem.with_suffix(".cpp"), stem.with_suffix(".so")
            source.write_text(as_host_code(program.text()))
            command = [COMPILER, "-std=c++17", "-O1", "-ffp-contract=off", "-w", "-shared", "-fPIC"]
            subprocess.run(
                [*command, f"-I{HERE}", "-o", str(built), str(source)], check=True, text=True
            )
            self.libraries[program] = ctypes.CDLL(str(built))
        return self.libraries[program]

    def launch(self, program, kernel, grid, block, *args):
        assert 1 <= block <= 256
        assert all(blocks >= 1 for blocks in grid)
        assert grid[1] < 2**16
        self.log.append(kernel)
        passed, guarded = [], []
        for a in typed(args):
            if isinstance(a, strict.Array):
                host = a._host
                assert host.flags.c_contiguous
                whole = np.full(host.size + 2 * GUARD, _guard_value(host.dtype), host.dtype)
                whole[GUARD:-GUARD] = host.ravel()
                guarded.append((host, whole, whole.copy()))
                start = whole.ctypes.data + GUARD * host.itemsize
                passed.append(ctypes.c_void_p(start))
            else:
                assert isinstance(a, np.generic), (
                    f"{kernel}: {type(a)} cannot be an argument of a kernel"
                )
                passed.append(np.ctypeslib.as_ctypes_type(a.dtype)(a.item()))
        status = getattr(self.library(program), f"launch_{kernel}")(*grid, block, *passed)
        assert status == 0, f"{kernel}: not all threads of a block reach a barrier"
        for host, whole, before in guarded:
            for end in (slice(None, GUARD), slice(-GUARD, None)):
                np.testing.assert_array_equal(whole[end], before[end], f"{kernel} writes outside")
            inside = whole[GUARD:-GUARD].reshape(host.shape)
            if host.flags.writeable:
                host[...] = inside
            else:
                np.testing.assert_array_equal(inside, host, f"{kernel} writes to an argument")

    def multiply(self, a, b, out, *, transposed=(False, False), add=False, tf32=False):
        a, b, c = (m._host for m in (a, b, out))
        for m in (a, b, c):
            assert m.strides[-1] == m.itemsize or m.shape[-1] == 1
        assert a.dtype == b.dtype
        assert c.dtype == (np.float32 if a.dtype == np.float16 else a.dtype)
        self.log.append(f"multiply {a.dtype}{' tf32' if tf32 else ''}")
        a, b = a.astype(c.dtype), b.astype(c.dtype)
        if tf32:
            a, b = rounded_to_tf32(a), rounded_to_tf32(b)
        a, b = (m.swapaxes(-1, -2) if t else m for m, t in zip((a, b), transposed, strict=True))
        product = a @ b
        assert product.shape == c.shape
        c[...] = c + product if add else product


def _guard_value(dtype):
    return np.nan if dtype.kind == "f" else np.iinfo(dtype).max


def rounded_to_tf32(a):
    """Rounded to the nearest value with ten fraction bits."""
    bits = a.astype(np.float32).view(np.uint32) + np.uint32(1 << 12)
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("no C++ compiler, which replaces CUDA's")
    return Emulator(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def emulator(compiled, monkeypatch):
    """The emulator, as the device of the stand-in's arrays."""
    compiled.log = []
    monkeypatch.setitem(device_module.DEVICES, "npdiff", lambda: compiled)
    return compiled


@pytest.fixture
def kernel():
    """The kernel for a GPU of a definition's name."""
    from importlib import import_module

    def find(name):
        modules = [m for m in kernels.KERNELS[name] if m.startswith("cuda.")]
        assert len(modules) == 1
        return getattr(import_module(f"npdiff.kernels.{modules[0]}"), name)

    return find
