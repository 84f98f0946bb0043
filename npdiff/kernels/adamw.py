"""Clipping, AdamW and the moving average of the weights in one pass over flat arrays.

The definitions in :mod:`npdiff.training.optimizer` are maps over trees: each of their twenty
operations fetches every weight of the model from memory and puts a fresh array there. Here the
weights are one flat array, and so are the moments, the average and the gradient; the pass goes over
them a chunk at a time, all operations on one chunk while it is in the cache. It does what the
definitions do operation for operation, so on the host the results are theirs to the last bit.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.kernels.workspace import workspace

P = TypeVar("P")

#: Elements of a chunk on the host: what a chunk needs fits the cache, and the calls do not count.
CHUNK = 2**16

#: Calls a function on every piece of some work, in any order, on as many threads as it likes.
Share = Callable[[Callable[[Any], None], Sequence[Any]], None]


class Vectors(NamedTuple):
    """A state of training, each part of it one flat array: weights, two moments, average."""

    model: Array
    first: Array
    second: Array
    average: Array


def in_order(f: Callable[[P], None], pieces: Iterable[P]) -> None:
    """``f`` on one piece after another: the ``Share`` of a single thread."""
    for piece in pieces:
        f(piece)


def chunks(start: int, stop: int, size: int) -> list[slice]:
    """The elements ``start`` to ``stop`` in chunks of ``size``; the last may be smaller.

    >>> chunks(0, 5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(a, min(a + size, stop)) for a in range(start, stop, size)]


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
    parallel_for: Share = in_order,
) -> None:
    """Write the state after a step to ``new``.

    All of :eq:`gradient-clipping`, :eq:`adamw` and :eq:`weight-average`. An element
    of the result depends on the same element of the arguments alone, so an array of ``new`` may be
    that of ``old`` in its place, and ``new.first`` may be ``gradient``.

    Parameters
    ----------
    old, gradient, new : flat arrays of one length, dtype and backend
    step, learning_rate, betas, weight_decay, eps : as in :func:`npdiff.training.optimizer.adamw`
    decayed : weight decay applies to so many elements, which come first
    clip_factor : the factor of the gradient, 1 where its norm is within the limit
    average_decay : the decay of the average
    parallel_for : how the work is spread over threads, which the result does not depend on

    Notes
    -----
    On a GPU this is one launch (:mod:`npdiff.kernels.cuda.adamw`).
    """
    xp = namespace(gradient)
    if xp is not np and _launched(
        old, gradient, new, step=step, learning_rate=learning_rate, betas=betas,
        weight_decay=weight_decay, decayed=decayed, clip_factor=clip_factor,
        average_decay=average_decay, eps=eps,
    ):  # fmt: skip
        return
    beta_1, beta_2 = betas
    correction_1, correction_2 = 1.0 - beta_1**step, 1.0 - beta_2**step

    def apply_gradient(part: slice) -> None:
        theta, m, v, average = (vector[part] for vector in old)
        theta_new, m_new, v_new, average_new = (vector[part] for vector in new)
        g, a = gradient[part], _scratch("adamw.a", gradient, part)
        if clip_factor != 1.0:
            g = xp.multiply(g, clip_factor, out=_scratch("adamw.g", gradient, part))
        xp.multiply(g, g, out=a)
        a *= 1.0 - beta_2
        xp.multiply(v, beta_2, out=v_new)
        v_new += a
        xp.multiply(g, 1.0 - beta_1, out=a)  # the last of g: m_new may lie where it is
        xp.multiply(m, beta_1, out=m_new)
        m_new += a

        xp.divide(v_new, correction_2, out=a)
        xp.sqrt(a, out=a)
        a += eps
        xp.divide(m_new, a, out=a)
        a *= learning_rate / correction_1
        kept = 1.0 - learning_rate * weight_decay if part.start < decayed else 1.0
        xp.multiply(theta, kept, out=theta_new)
        theta_new -= a

        xp.multiply(theta_new, 1.0 - average_decay, out=a)
        xp.multiply(average, average_decay, out=average_new)
        average_new += a

    size = chunk(gradient)
    parallel_for(apply_gradient, chunks(0, decayed, size) + chunks(decayed, gradient.size, size))


def _launched(*args: Any, **options: Any) -> bool:
    """Whether a GPU has been told to do it."""
    from npdiff.kernels.cuda import adamw

    return adamw.adamw(*args, **options)


def norm(gradient: Array, *, parallel_for: Share = in_order) -> Array:
    """The length of a flat array, :eq:`global-norm`: a float64 scalar of its backend.

    Chunks are squared and added up in float64 and their sums in the order of the chunks, so that
    the result does not depend on how the work is shared.
    """
    xp = namespace(gradient)
    pieces = list(enumerate(chunks(0, gradient.size, chunk(gradient))))
    sums = xp.zeros(len(pieces), dtype=xp.float64)

    def add(piece: tuple[int, slice]) -> None:
        i, part = piece
        squares = _scratch("adamw.squares", gradient, part, xp.float64)
        xp.square(gradient[part], dtype=xp.float64, out=squares)
        sums[i] = xp.sum(squares)

    parallel_for(add, pieces)
    return xp.sqrt(xp.sum(sums))


def chunk(vector: Array) -> int:
    """Elements of a chunk: a GPU takes everything at once."""
    return CHUNK if namespace(vector) is np else max(1, vector.size)


def _scratch(name: str, like: Array, part: slice, dtype: Any = None) -> Array:
    shape, dtype = (part.stop - part.start,), like.dtype if dtype is None else dtype
    if namespace(like) is np:
        return workspace().scratch(name, shape, dtype)
    return namespace(like).empty(shape, dtype=dtype)
