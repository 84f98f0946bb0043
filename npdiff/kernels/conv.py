"""Convolution by the method that suits it, over blocks of samples."""

from functools import lru_cache
from typing import Any

import numpy as np

from npdiff.acceleration import prepared
from npdiff.backend import Array
from npdiff.kernels.method import Method
from npdiff.kernels.norm import sums
from npdiff.kernels.winograd import Winograd
from npdiff.ops.conv import Padding, paddings
from npdiff.pullback import Cotangents, Traced

#: Channels from which on Winograd's transforms cost less than the products they save, and tiles
#: that a batch has to have for products of more than vectors.
CHANNELS, TILES = 16, 16


def conv(
    x: Array, w: Array, b: Array | None = None, *, stride: int = 1, padding: Padding = None
) -> Traced | None:
    """:func:`npdiff.ops.conv`."""
    way = method(x, w, b, stride, padding)
    if way is None:
        return None
    x = np.ascontiguousarray(x)
    N, F = x.shape[0], w.shape[-1]
    has_bias = b is not None
    batches = blocks(N, way.block)
    y = np.empty((N, *way.out, F), x.dtype)
    weights = prepared((way.name, "forward"), w, way.forward_weights)
    for rows in batches:
        way.forward(x[rows], weights, y[rows], b, None)

    def conv_pullback(dy: Array) -> Cotangents:
        weights = prepared((way.name, "backward"), w, way.backward_weights)
        dx, dU = np.empty_like(x), way.gradient()
        db = np.zeros(F, x.dtype) if has_bias else None
        for rows in batches:
            dy_rows = np.ascontiguousarray(dy[rows])
            dx[rows] = way.backward(x[rows], dy_rows, weights, dU)
            if has_bias:
                db += sums(dy_rows).sum(axis=0)
        return dx, way.weight_gradient(dU), db

    return y, conv_pullback


def method(x: Array, w: Array, b: Array | None, stride: int, padding: Padding) -> Method | None:
    """The way to convolve such arrays, or None where the definition is best (or is to complain)."""
    floats = {a.dtype for a in (x, w, b) if a is not None}
    if type(x) is not np.ndarray or floats not in ({np.dtype("f4")}, {np.dtype("f8")}):
        return None
    if w.ndim != x.ndim or w.shape[-2] != x.shape[-1] or x.size == 0:
        return None
    pads = paddings(padding, w.shape[:-2])
    way = _method(x.shape[1:-1], w.shape, stride, pads, x.dtype.str)
    if isinstance(way, Winograd) and x.shape[0] * way.h * way.w < TILES:
        return None
    return way


@lru_cache
def _method(
    space: tuple[int, ...],
    shape: tuple[int, ...],
    stride: int,
    pads: tuple[tuple[int, int], ...],
    dtype: str,
) -> Any:
    *kernel, C, F = shape
    if kernel == [3, 3] and stride == 1 and min(C, F) >= CHANNELS:
        if min(n + sum(p) for n, p in zip(space, pads, strict=True)) >= 3:
            return Winograd(space, 3, C, F, pads, dtype)
    return None


def blocks(N: int, most: int) -> list[slice]:
    """N samples in equal blocks of at most ``most``."""
    count = -(-N // most)
    return [slice(i * N // count, (i + 1) * N // count) for i in range(count)]
