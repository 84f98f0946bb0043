"""SiLU of every element and softmax of every row, in one launch; each pullback in one."""

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.kernels.cuda.device import contiguous, device_of
from npdiff.kernels.cuda.program import THREADS, Program, grid
from npdiff.pullback import Cotangents, Traced


def silu(x: Array) -> Traced | None:
    """See :func:`npdiff.ops.silu`."""
    device = device_of(x)
    if device is None or x.size == 0:
        return None
    xp, program = namespace(x), Program("rows", x.dtype.name)
    x = contiguous(x)

    def run(kernel: str, *arrays: Array) -> Array:
        out = xp.empty(x.shape, dtype=x.dtype)
        device.launch(program, kernel, grid(x.size), THREADS, *arrays, out, np.int64(x.size))
        return out

    def silu_pullback(dy: Array) -> Cotangents:
        return (run("silu_pullback", x, contiguous(dy)),)

    return run("silu", x), silu_pullback


def softmax(x: Array) -> Traced | None:
    """See :func:`npdiff.ops.softmax`."""
    device = device_of(x)
    if device is None or x.size == 0 or x.ndim == 0:
        return None
    xp, program = namespace(x), Program("rows", x.dtype.name)
    L = x.shape[-1]
    lanes = min(THREADS, 1 << (L - 1).bit_length())
    blocks = -(-(x.size // L) // (THREADS // lanes))

    def run(kernel: str, *arrays: Array) -> Array:
        out = xp.empty(x.shape, dtype=x.dtype)
        count = np.int64(x.size // L)
        device.launch(program, kernel, (blocks, 1), THREADS, *arrays, out, count, L, lanes)
        return out

    p = run("softmax", contiguous(x))

    def softmax_pullback(dp: Array) -> Cotangents:
        return (run("softmax_pullback", p, contiguous(dp)),)

    return p, softmax_pullback
