"""Clipping, AdamW and the moving average of the weights in one pass over flat arrays.

The definitions in :mod:`npdiff.training.optimizer` are maps over trees: each of their twenty
operations reads every weight of the model from memory and writes a new array. Here weights,
moments, average and gradient are flat arrays, and all operations are done on one chunk of them
while it is in the cache. They are the operations of the definitions in the same order, so on the
host the results are equal to the last bit.
"""

from typing import Any

import numpy as np

from npdiff.acceleration import parallel_for
from npdiff.backend import Array, namespace
from npdiff.kernels.cuda import adamw as cuda
from npdiff.kernels.vectors import Vectors
from npdiff.kernels.workspace import workspace
from npdiff.slices import split_range

#: Elements of a chunk on the host: its arrays fit the cache, and the time per call is negligible.
CHUNK = 2**16


def adamw(
    old: Vectors,
    gradient: Array,
    new: Vectors,
    *,
    step: int,
    learning_rate: float,
    betas: tuple[float, float],
    weight_decay: float,
    decayed: int,
    clip_factor: float,
    average_decay: float,
    eps: float = 1e-8,
) -> None:
    """Write the state after a step to ``new``.

    All of :eq:`gradient-clipping`, :eq:`adamw` and :eq:`weight-average`. An element of the result
    depends only on the same element of the arguments, so ``new`` may contain the arrays of
    ``old``, and ``new.first`` may be ``gradient``.

    Parameters
    ----------
    old, gradient, new : flat arrays of the same length, dtype and backend
    step, learning_rate, betas, weight_decay, eps : as in :func:`npdiff.training.optimizer.adamw`
    decayed : the number of elements that weight decay applies to; they come first
    clip_factor : the factor of the gradient, 1 where its norm is within the limit
    average_decay : the decay of the average

    Notes
    -----
    Chunks run on the :func:`~npdiff.acceleration.idle_threads`; the result does not depend on
    them. On a GPU this is one launch (:mod:`npdiff.kernels.cuda.adamw`).
    """
    xp = namespace(gradient)
    if xp is not np and cuda.adamw(
        old, gradient, new, step=step, learning_rate=learning_rate, betas=betas,
        weight_decay=weight_decay, decayed=decayed, clip_factor=clip_factor,
        average_decay=average_decay, eps=eps,
    ):  # fmt: skip
        return
    beta_1, beta_2 = betas
    correction_1, correction_2 = 1.0 - beta_1**step, 1.0 - beta_2**step

    def apply_gradient(chunk: slice) -> None:
        theta, m, v, average = (vector[chunk] for vector in old)
        theta_new, m_new, v_new, average_new = (vector[chunk] for vector in new)
        g, a = gradient[chunk], _scratch("adamw.a", gradient, chunk)
        if clip_factor != 1.0:
            g = xp.multiply(g, clip_factor, out=_scratch("adamw.g", gradient, chunk))
        xp.multiply(g, g, out=a)
        a *= 1.0 - beta_2
        xp.multiply(v, beta_2, out=v_new)
        v_new += a
        xp.multiply(g, 1.0 - beta_1, out=a)  # the last use of g: m_new may overwrite it
        xp.multiply(m, beta_1, out=m_new)
        m_new += a

        xp.divide(v_new, correction_2, out=a)
        xp.sqrt(a, out=a)
        a += eps
        xp.divide(m_new, a, out=a)
        a *= learning_rate / correction_1
        kept = 1.0 - learning_rate * weight_decay if chunk.start < decayed else 1.0
        xp.multiply(theta, kept, out=theta_new)
        theta_new -= a

        xp.multiply(theta_new, 1.0 - average_decay, out=a)
        xp.multiply(average, average_decay, out=average_new)
        average_new += a

    size = chunk_size(gradient)
    parallel_for(
        apply_gradient, split_range(decayed, size) + split_range(gradient.size, size, start=decayed)
    )


def global_norm(gradient: Array) -> Array:
    """The Euclidean norm of a flat array, :eq:`global-norm`: a float64 scalar of its backend.

    Chunks are squared and added in float64, and their sums in the order of the chunks, so that
    the result does not depend on the number of threads.
    """
    xp = namespace(gradient)
    chunks = list(enumerate(split_range(gradient.size, chunk_size(gradient))))
    sums = xp.zeros(len(chunks), dtype=xp.float64)

    def add(item: tuple[int, slice]) -> None:
        i, chunk = item
        squares = _scratch("adamw.squares", gradient, chunk, xp.float64)
        xp.square(gradient[chunk], dtype=xp.float64, out=squares)
        sums[i] = xp.sum(squares)

    parallel_for(add, chunks)
    return xp.sqrt(xp.sum(sums))


def chunk_size(vector: Array) -> int:
    """Elements of a chunk: on a GPU, all of them."""
    return CHUNK if namespace(vector) is np else max(1, vector.size)


def _scratch(name: str, like: Array, chunk: slice, dtype: Any = None) -> Array:
    shape, dtype = (chunk.stop - chunk.start,), like.dtype if dtype is None else dtype
    if namespace(like) is np:
        return workspace().scratch(name, shape, dtype)
    return namespace(like).empty(shape, dtype=dtype)
