"""Convolution by the method that suits it, over blocks of samples or strips of an image."""

import math
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from npdiff.acceleration import idle_thread_count, parallel_for, prepacked
from npdiff.backend import Array
from npdiff.kernels.algorithm import ConvAlgorithm
from npdiff.kernels.few import few
from npdiff.kernels.norm import sums
from npdiff.kernels.patches import Patches
from npdiff.kernels.winograd import Winograd
from npdiff.ops._conv import Padding, output_size, paddings
from npdiff.pullback import Cotangents, Traced

#: Channels from which on Winograd's transforms cost less than the products they save, and tiles
#: that a batch has to have for products of more than vectors.
CHANNELS, TILES = 4, 16

#: Numbers of an image from which on it is convolved in strips, which fit the cache, and from which
#: on threads gain more by sharing the strips of one than they lose by waiting for each other.
LARGE, WORTH_SHARING = 2**18, 2**17


class Piece(NamedTuple):
    """A part of a convolution that one thread does at a time.

    Attributes
    ----------
    algorithm : how, for an image of the height of ``source``
    rows : the samples
    source, target : lines of the image, and of the output that they suffice for
    """

    algorithm: Any
    rows: slice
    source: slice
    target: slice


def conv(
    x: Array, w: Array, b: Array | None = None, *, stride: int = 1, padding: Padding = None
) -> Traced | None:
    """:func:`npdiff.ops.conv`."""
    algorithm = choose_algorithm(x, w, b, stride, padding)
    if algorithm is None:
        return None
    x = np.ascontiguousarray(x)
    N, F = x.shape[0], w.shape[-1]
    has_bias = b is not None
    y = np.empty((N, *algorithm.out, F), x.dtype)
    weights = prepacked((algorithm.name, "forward"), w, algorithm.forward_weights)

    def convolve(piece: Piece) -> None:
        part, out = x[piece.rows, piece.source], y[piece.rows, piece.target]
        piece.algorithm.forward(part, weights, out, b, None)

    parallel_for(convolve, pieces(algorithm, N))

    def conv_pullback(dy: Array) -> Cotangents:
        weights = prepacked((algorithm.name, "backward"), w, algorithm.backward_weights)
        dx, dU = np.empty_like(x), algorithm.gradient()
        db = np.zeros(F, x.dtype) if has_bias else None
        for rows in blocks(N, algorithm.block):
            dy_rows = np.ascontiguousarray(dy[rows], x.dtype)
            dx[rows] = algorithm.backward(x[rows], dy_rows, weights, dU)
            if has_bias:
                db += sums(dy_rows).sum(axis=0)
        return dx, algorithm.weight_gradient(dU), db

    return y, conv_pullback


def choose_algorithm(x: Array, w: Array, b: Array | None, stride: int, padding: Padding) -> Any:
    """The way to convolve such arrays, or None where the definition is best (or is to complain)."""
    if type(x) is not np.ndarray or w.dtype != x.dtype or (b is not None and b.dtype != x.dtype):
        return None
    if padding is not None and not isinstance(padding, int):
        padding = tuple((before, after) for before, after in padding)
    return _method(min(x.shape[0], TILES), x.shape[1:], w.shape, stride, padding, x.dtype)


@lru_cache(maxsize=512)
def _method(
    samples: int,
    image: tuple[int, ...],
    shape: tuple[int, ...],
    stride: int,
    padding: Padding,
    dtype: np.dtype,
) -> ConvAlgorithm | None:
    (*space, C), (*kernel, C_w, F) = image, shape
    if dtype.char not in "fd" or len(kernel) != len(space) or C_w != C or samples == 0:
        return None
    pads = paddings(padding, tuple(kernel))
    out = [output_size(n, k, stride, p) for n, k, p in zip(space, kernel, pads, strict=True)]
    if min(out) < 1 or min(map(min, pads)) < 0 or (set(kernel) == {1} and stride == 1):
        return None
    tiles = samples * math.prod(-(-n // 4) for n in out)
    tiled = kernel == [3, 3] and stride == 1 and tiles >= TILES
    args = tuple(space), tuple(kernel), C, F
    thin = few(tuple(kernel), C, F, stride, winograd=tiled)
    if thin is not None:
        return thin(*args, pads, dtype)
    if tiled and min(C, F) >= CHANNELS:
        return Winograd(tuple(space), 3, C, F, pads, dtype)
    if max(kernel) <= stride and 2 * C <= F:  # no overlap: nothing to gather twice
        return None
    return Patches(*args, stride, pads, dtype)


def pieces(algorithm: Any, N: int) -> list[Piece]:
    """Blocks of samples; strips of images that are large, or that idle threads could share."""
    everything = slice(None)
    if isinstance(algorithm, Winograd | Patches):
        numbers = math.prod(algorithm.space) * max(algorithm.C, algorithm.F)
        count = -(-numbers // LARGE)
        if idle_thread_count() > N and numbers >= WORTH_SHARING:
            count = max(count, -(-idle_thread_count() // N))
        if count > 1:
            strips = _strips(algorithm, count)
            return [strip._replace(rows=slice(n, n + 1)) for n in range(N) for strip in strips]
    return [Piece(algorithm, rows, everything, everything) for rows in blocks(N, algorithm.block)]


@lru_cache(maxsize=512)
def _strips(algorithm: Winograd | Patches, count: int) -> list[Piece]:
    """A convolution as ``count`` convolutions of strips, whole tiles each."""
    H, before, reach = algorithm.space[0], algorithm.pads[0][0], algorithm.kernel[0]
    step, s = (algorithm.m, 1) if isinstance(algorithm, Winograd) else (1, algorithm.stride)
    units = -(-algorithm.out[0] // step)
    edges = [min(step * (i * units // count), algorithm.out[0]) for i in range(count + 1)]
    strips = []
    for a, b in pairwise(edges):
        first, last = s * a - before, s * (b - 1) - before + reach
        source = slice(max(0, first), min(H, last))
        if a < b and source.start < source.stop:
            pads = (source.start - first, last - source.stop), *algorithm.pads[1:]
            part = algorithm.resized((source.stop - source.start, *algorithm.space[1:]), pads)
            strips.append(Piece(part, slice(None), source, slice(a, b)))
        elif a < b:  # a strip of zeros alone
            return [Piece(algorithm, slice(None), slice(None), slice(None))]
    return strips


def blocks(N: int, most: int) -> list[slice]:
    """N samples in equal blocks of at most ``most``."""
    count = -(-N // most)
    return [slice(i * N // count, (i + 1) * N // count) for i in range(count)]
