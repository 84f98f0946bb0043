"""Convolution by the fastest algorithm for its shapes, in blocks of samples or in strips."""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from npdiff.acceleration import idle_thread_count, parallel_for, prepacked
from npdiff.backend import Array
from npdiff.kernels.algorithm import ConvAlgorithm
from npdiff.kernels.few_channels import few_channel_algorithm
from npdiff.kernels.norm import sums
from npdiff.kernels.patches import Patches
from npdiff.kernels.winograd import Winograd
from npdiff.ops._conv import Padding, output_size, paddings
from npdiff.pullback import Cotangents, Traced
from npdiff.slices import split_evenly

#: Channels from which on Winograd's transforms cost less than the products they save.
MIN_WINOGRAD_CHANNELS = 4
#: Tiles of a batch from which on Winograd's products are of matrices rather than of vectors.
MIN_WINOGRAD_TILES = 16
#: Elements of a strip: an image with more is convolved in strips that fit the cache.
STRIP_ELEMENTS = 2**18
#: Elements of an image from which on dividing it between threads gains more than it costs.
MIN_PARALLEL_ELEMENTS = 2**17


class WorkItem(NamedTuple):
    """A part of a convolution that one thread computes.

    Attributes
    ----------
    algorithm : the algorithm for images of the height of ``source``
    samples : the samples
    source, target : rows of the image, and the rows of the output that depend on them
    """

    algorithm: Any
    samples: slice
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

    def convolve(item: WorkItem) -> None:
        part, out = x[item.samples, item.source], y[item.samples, item.target]
        item.algorithm.forward(part, weights, out, b, None)

    parallel_for(convolve, work_items(algorithm, N))

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
    """The fastest algorithm for such arrays, or None where the definition is best or must raise."""
    if type(x) is not np.ndarray or w.dtype != x.dtype or (b is not None and b.dtype != x.dtype):
        return None
    if padding is not None and not isinstance(padding, int):
        padding = tuple((before, after) for before, after in padding)
    return _choose(
        min(x.shape[0], MIN_WINOGRAD_TILES), x.shape[1:], w.shape, stride, padding, x.dtype
    )


@lru_cache(maxsize=512)
def _choose(
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
    tiled = kernel == [3, 3] and stride == 1 and tiles >= MIN_WINOGRAD_TILES
    args = tuple(space), tuple(kernel), C, F
    few_channels = few_channel_algorithm(tuple(kernel), C, F, stride, winograd=tiled)
    if few_channels is not None:
        return few_channels(*args, pads, dtype)
    if tiled and min(C, F) >= MIN_WINOGRAD_CHANNELS:
        return Winograd(tuple(space), 3, C, F, pads, dtype)
    if max(kernel) <= stride and 2 * C <= F:  # windows do not overlap: the definition is as fast
        return None
    return Patches(*args, stride, pads, dtype)


def work_items(algorithm: Any, N: int) -> list[WorkItem]:
    """Blocks of samples; or strips, if images are large or idle threads can compute strips."""
    whole = slice(None)
    if isinstance(algorithm, Winograd | Patches):
        elements = math.prod(algorithm.space) * max(algorithm.C, algorithm.F)
        count = -(-elements // STRIP_ELEMENTS)
        if idle_thread_count() > N and elements >= MIN_PARALLEL_ELEMENTS:
            count = max(count, -(-idle_thread_count() // N))
        if count > 1:
            strips = _strips(algorithm, count)
            return [strip._replace(samples=slice(n, n + 1)) for n in range(N) for strip in strips]
    return [WorkItem(algorithm, block, whole, whole) for block in blocks(N, algorithm.block)]


@lru_cache(maxsize=512)
def _strips(algorithm: Winograd | Patches, count: int) -> list[WorkItem]:
    """A convolution as ``count`` convolutions of strips of whole tiles."""
    H, before, reach = algorithm.space[0], algorithm.pads[0][0], algorithm.kernel[0]
    step, s = (algorithm.m, 1) if isinstance(algorithm, Winograd) else (1, algorithm.stride)
    tile_rows = -(-algorithm.out[0] // step)
    strips = []
    for tiles in split_evenly(tile_rows, count):
        a, b = (min(step * edge, algorithm.out[0]) for edge in (tiles.start, tiles.stop))
        # Output row o depends on the rows s o - before ... s o - before + reach - 1 of the image.
        first, last = s * a - before, s * (b - 1) - before + reach
        source = slice(max(0, first), min(H, last))
        if a < b and source.start < source.stop:
            pads = (source.start - first, last - source.stop), *algorithm.pads[1:]
            part = algorithm.resized((source.stop - source.start, *algorithm.space[1:]), pads)
            strips.append(WorkItem(part, slice(None), source, slice(a, b)))
        elif a < b:  # the strip depends on no row of the image: do not divide it
            return [WorkItem(algorithm, slice(None), slice(None), slice(None))]
    return strips


def blocks(N: int, most: int) -> list[slice]:
    """N samples in nearly equal blocks of at most ``most``."""
    return split_evenly(N, -(-N // most))
