"""Large matrix products, shared between idle threads."""

import math

import numpy as np

from npdiff.acceleration import idle_thread_count, parallel_for
from npdiff.backend import Array

#: Multiplications from which on two threads gain more than they lose by waiting for each other.
LARGE = 2**23


def multiply(a: Array, b: Array, out: Array) -> None:
    """``a @ b`` into ``out``: matrices or stacks of them, on the ``idle_threads`` of threads if large."""
    count = idle_thread_count()
    if count == 1 or math.prod(out.shape) * a.shape[-1] < LARGE:
        np.matmul(a, b, out=out)
        return
    size = out.shape[0] if out.ndim > 2 else out.shape[-1]
    cuts = [slice(i * size // count, (i + 1) * size // count) for i in range(count)]

    def part(cut: slice) -> None:
        if out.ndim > 2:
            np.matmul(a[cut], b[cut], out=out[cut])
        else:
            np.matmul(a, b[:, cut], out=out[:, cut])

    parallel_for(part, cuts)
