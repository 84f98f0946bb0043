"""Convolution over any number of spatial axes: gather patches, then one matrix product."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

from npdiff.acceleration import accelerated
from npdiff.backend import Array, blocks, namespace
from npdiff.errors import InputError
from npdiff.ops._linear import linear
from npdiff.pullback import Cotangents, Traced, differentiable

Padding = int | Sequence[tuple[int, int]] | None


def output_size(size: int, kernel: int, stride: int, padding: tuple[int, int]) -> int:
    r"""The output size of a convolution along one axis.

    .. math::
        :label: conv-size

        H_y = \left\lfloor \frac{H_x + p_0 + p_1 - K}{s} \right\rfloor + 1
    """
    return (size + sum(padding) - kernel) // stride + 1


def paddings(padding: Padding, kernel: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """The zeros before and after x along each axis."""
    if padding is None:
        return tuple(((k - 1) // 2, k // 2) for k in kernel)
    if isinstance(padding, int):
        return ((padding, padding),) * len(kernel)
    return tuple((before, after) for before, after in padding)


@differentiable
@accelerated
def conv(
    x: Array, w: Array, b: Array | None = None, *, stride: int = 1, padding: Padding = None
) -> Traced:
    r"""Convolution with channels last (a cross-correlation, as usual in neural networks).

    .. math::
        :label: conv

        y_{n, o, f} = b_f + \sum_{k} \sum_c x_{n,\, s\,o + k - p,\, c}\; w_{k, c, f}

    where o and k run over all spatial axes and x is zero outside its borders. The patches of a few
    samples at a time are gathered into a matrix that fits the cache, and multiplied by w. The
    pullback transposes each step: it gathers the patches again, because they are K times the size
    of x, and adds :math:`\bar y\,w^\top` to the positions where the patches were read:

    .. math::
        :label: conv-pullback

        \bar x_{n, i, c} = \sum_{k, o:\, s\,o + k - p = i} \sum_f \bar y_{n, o, f}\; w_{k, c, f},
        \quad \bar w_{k, c, f} = \sum_{n, o} x_{n,\, s\,o + k - p,\, c}\; \bar y_{n, o, f},
        \quad \bar b_f = \sum_{n, o} \bar y_{n, o, f}

    Saves: ``x``, ``w``.

    Parameters
    ----------
    x : ``(N, *space, C)``, with one or more spatial axes
    w : ``(*K, C, F)``, with a kernel size for each spatial axis
    b : ``(F,)``, or None
    stride : step of the kernel, the same for all axes
    padding : number of zeros around x: an integer, a pair (before, after) for each axis, or None
        for the padding that preserves the size at stride 1

    Returns
    -------
    y : ``(N, *out, F)``, with ``out`` from :eq:`conv-size`
    pullback : ``dy -> (dx, dw, db)``; ``db`` is None where ``b`` is

    Raises
    ------
    InputError
        If the shapes do not fit.
    """
    xp = namespace(x)
    N, space, C = x.shape[0], x.shape[1:-1], x.shape[-1]
    kernel, F = w.shape[:-2], w.shape[-1]
    if len(kernel) != len(space) or w.shape[-2] != C:
        raise InputError(
            f"conv: x {x.shape} has {len(space)} spatial axes and {C} channels, "
            f"but w {w.shape} is for {len(kernel)} and {w.shape[-2]}"
        )
    pads = paddings(padding, kernel)
    out = tuple(output_size(n, k, stride, p) for n, k, p in zip(space, kernel, pads, strict=True))
    if min(out) < 1:
        raise InputError(f"conv: a kernel {kernel} does not fit in {space} padded by {pads}")
    if math.prod(kernel) == 1 and stride == 1 and out == space:
        return _pointwise(x, w, b)

    padded_space = tuple(n + sum(p) for n, p in zip(space, pads, strict=True))
    inside = (slice(None), *(slice(p[0], p[0] + n) for n, p in zip(space, pads, strict=True)))
    matrix = w.reshape(-1, F)  # (K * C, F)
    rows, depth = math.prod(out), matrix.shape[0]
    batches = blocks(N, rows * depth, xp)
    has_bias = b is not None

    def patches(batch: slice) -> Array:
        """im2col: ``(n * out, K * C)``, copied in runs of K[-1] * C consecutive elements."""
        padded = xp.zeros((batch.stop - batch.start, *padded_space, C), dtype=x.dtype)
        padded[inside] = x[batch]
        gathered = _windows(xp, padded, kernel, stride, out)
        return xp.ascontiguousarray(gathered).reshape(-1, depth)

    def scatter(columns: Array) -> Array:
        """The transpose of :func:`patches`: add every patch to the positions it was read from."""
        columns = columns.reshape(-1, *out, *kernel, C)  # from (n * out, K * C)
        padded = xp.zeros((columns.shape[0], *padded_space, C), dtype=columns.dtype)
        for tap in product(*map(range, kernel)):
            read = tuple(
                slice(k, k + stride * (n - 1) + 1, stride) for k, n in zip(tap, out, strict=True)
            )
            padded[(slice(None), *read)] += columns[(slice(None),) * (1 + len(out)) + tap]
        return padded[inside]

    y = xp.empty((N, *out, F), dtype=x.dtype)
    for batch in batches:
        xp.matmul(patches(batch), matrix, out=y[batch].reshape(-1, F))
    if has_bias:
        y += b

    def conv_pullback(dy: Array) -> Cotangents:
        dx = xp.empty(x.shape, dtype=x.dtype)
        dw = xp.zeros((depth, F), dtype=x.dtype)
        for batch in batches:
            dy_rows = dy[batch].reshape(-1, F)  # (n * out, F)
            dw += patches(batch).T @ dy_rows
            dx[batch] = scatter(dy_rows @ matrix.T)
        db = dy.reshape(-1, F).sum(axis=0) if has_bias else None
        return dx, dw.reshape(w.shape), db

    return y, conv_pullback


def _windows(
    xp: Any, padded: Array, kernel: tuple[int, ...], stride: int, out: tuple[int, ...]
) -> Array:
    """The patches as a view, ``(n, *out, *K[:-1], K[-1] * C)``.

    Neighbors along the last spatial axis are neighbors in memory, so that K[-1] taps with C
    channels each are one run.
    """
    steps, C = padded.strides, padded.shape[-1]  # padded is (n, *padded_space, C)
    return xp.lib.stride_tricks.as_strided(
        padded,
        shape=(padded.shape[0], *out, *kernel[:-1], kernel[-1] * C),
        strides=(steps[0], *(stride * s for s in steps[1:-1]), *steps[1:-2], steps[-1]),
    )


def _pointwise(x: Array, w: Array, b: Array | None) -> Traced:
    """Convolution with a kernel of one pixel: a linear map of the channels."""
    y, linear_pullback = linear(x, w.reshape(w.shape[-2:]), b)
    shape = w.shape

    def pointwise_pullback(dy: Array) -> Cotangents:
        dx, dw, db = linear_pullback(dy)
        return dx, dw.reshape(shape), db

    return y, pointwise_pullback
