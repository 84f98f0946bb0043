"""Large matrix products, divided between idle threads."""

import math

import numpy as np

from npdiff.acceleration import idle_thread_count, parallel_for
from npdiff.backend import Array
from npdiff.slices import split_evenly

#: Multiplications from which on two threads gain more than their synchronization costs.
MIN_PARALLEL_MULTIPLICATIONS = 2**23


def multiply(a: Array, b: Array, out: Array) -> None:
    """Write ``a @ b`` to ``out``; large products use the :func:`~npdiff.acceleration.idle_threads`.

    Stacks are divided into smaller stacks, single products by columns of ``b``.

    Parameters
    ----------
    a, b, out : ``(M, K)``, ``(K, N)``, ``(M, N)``, or stacks of as many matrices
    """
    count = idle_thread_count()
    if count == 1 or math.prod(out.shape) * a.shape[-1] < MIN_PARALLEL_MULTIPLICATIONS:
        np.matmul(a, b, out=out)
        return

    def multiply_part(part: slice) -> None:
        if out.ndim > 2:
            np.matmul(a[part], b[part], out=out[part])
        else:
            np.matmul(a, b[:, part], out=out[:, part])

    parallel_for(multiply_part, split_evenly(out.shape[0 if out.ndim > 2 else -1], count))
