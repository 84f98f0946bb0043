r"""Winograd's convolution: transform tiles and kernel, multiply elementwise, transform back.

A stride-1 convolution with an r x r kernel computes m x m outputs at a time from tiles of n x n
pixels, n = m + r - 1: :eq:`winograd-nested`. F(4x4, 3x3) takes 36 products for 16 outputs, where
the definition takes 144. All products at one point are a matrix product of tiles and channels.

Everything else is linear, and the pullback has its transpose: tiles are cut out of the image
(``_cut``) and added back (``_paste``), and the transforms along rows and columns are matrix
products with small matrices and with their transposes. The columns of an image are distributed to
n planes, so that both transforms run over long rows of memory:

===========  ==============================  =====================================================
array        shape                           meaning
===========  ==============================  =====================================================
planes       ``(n, m h + r - 1, B, w, C)``   column m i + q of the padded image at ``[q, :, :, i]``
V            ``(n * n, h * B * w, C)``       the tiles at the points: point along columns, then rows
U            ``(n * n, C, F)``               the kernel at the points
M            ``(n * n, h * B * w, F)``       the products of both
Y            ``(m, m, h, B, w, F)``          the tiles of the output: column in a tile, then row
===========  ==============================  =====================================================

Here h and w count the tiles along an image, B its samples, C and F input and output channels.
"""

import math
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from npdiff.backend import Array
from npdiff.kernels.cook_toom import matrices
from npdiff.kernels.patches import pixels
from npdiff.kernels.products import multiply
from npdiff.kernels.workspace import workspace

#: Largest number of elements in the images of a block, so that its scratch stays in the cache.
BLOCK_ELEMENTS = 2**18
#: Largest tiles x C x F that OpenBLAS multiplies without packing its factors first: faster.
UNPACKED = 10**6
#: Tiles of a block if C x F leaves fewer than ``MIN_UNPACKED_TILES`` for an unpacked product:
#: products of so few rows would be slower than packed ones.
MIN_UNPACKED_TILES, PACKED_TILES = 24, 128


@lru_cache
def _matrices(m: int, r: int, dtype: str) -> tuple[np.ndarray, ...]:
    """A (n, m), B (n, n), and G x G (n * n, r * r), which transforms a whole kernel."""
    AT, G, BT = matrices(m, r).arrays()
    n = m + r - 1
    GG = np.einsum("jv,iu->jiuv", G, G).reshape(n * n, r * r)  # point by column, then by row
    A, B, GG = (np.ascontiguousarray(a, dtype=dtype) for a in (AT.T, BT.T, GG))
    return A, B, GG


class Winograd:
    """A :class:`~npdiff.kernels.algorithm.ConvAlgorithm` for two axes: F(m x m, r x r).

    Parameters
    ----------
    space : (H, W) of the image
    kernel : r
    channels, features : C, F
    pads : numbers of zeros (before, after) along each axis
    dtype : dtype of all arrays
    tile : m
    """

    def __init__(
        self,
        space: tuple[int, ...],
        kernel: int,
        channels: int,
        features: int,
        pads: tuple[tuple[int, int], ...],
        dtype: Any,
        tile: int = 4,
    ) -> None:
        m, r = tile, kernel
        self.m, self.r, self.n = m, r, m + r - 1
        self.name = f"winograd F({m}, {r})"
        self.space, self.C, self.F, self.dtype = space, channels, features, np.dtype(dtype)
        self.out = tuple(size + sum(pad) - r + 1 for size, pad in zip(space, pads, strict=True))
        self.h, self.w = (-(-size // m) for size in self.out)
        self.rows = m * self.h + r - 1  # of the image, padded to whole tiles
        self.whole_tiles = self.out == (m * self.h, m * self.w)
        self.A, self.B, self.GG = _matrices(m, r, self.dtype.str)
        self.AT, self.BT = self.A.T, self.B.T
        self.one = matrices(m, r).one * (self.n + 1)  # the point (1, 1) among the n * n
        self.pads, self.kernel = pads, (r, r)
        self.top = slice(pads[0][0], pads[0][0] + space[0])
        # Plane q holds the columns m i + q of the padded image; i = a .. b - 1 are in the image.
        self.left = pads[1][0]
        a = [max(0, -((q - self.left) // m)) for q in range(self.n)]
        b = [min(self.w, -((q - self.left - space[1]) // m)) for q in range(self.n)]
        self.spans = [(first, max(first, last)) for first, last in zip(a, b, strict=True)]
        starts = [m * a + q - self.left for q, (a, _) in enumerate(self.spans)]
        stops = [m * (b - 1) + q - self.left + 1 for q, (_, b) in enumerate(self.spans)]
        self.columns = [slice(i, max(i, j), m) for i, j in zip(starts, stops, strict=True)]
        self.block = self._samples()

    def _samples(self) -> int:
        """Samples of a block; rules found by timing images 8x8 to 32x32 of 32 to 512 channels."""
        tiles, unpacked = self.h * self.w, UNPACKED // (self.C * self.F)
        if unpacked < MIN_UNPACKED_TILES:
            return max(1, PACKED_TILES // tiles)
        elements = math.prod(self.space) * max(self.C, self.F)
        return max(1, min(BLOCK_ELEMENTS // elements, unpacked // tiles))

    def resized(self, space: tuple[int, ...], pads: Any) -> "Winograd":
        """The same convolution for images of another size."""
        return Winograd(space, self.r, self.C, self.F, pads, self.dtype, self.m)

    # Weights.

    def forward_weights(self, w: Array) -> Array:
        """U, ``(n * n, C, F)``."""
        U = np.empty((self.n**2, *w.shape[2:]), self.dtype)
        _over_first(self.GG, w.reshape(self.r**2, *w.shape[2:]), U)
        return U

    def backward_weights(self, w: Array) -> Array:
        """U with every matrix transposed, ``(n * n, F, C)``; faster than a transposed view."""
        return self.forward_weights(np.ascontiguousarray(w.transpose(0, 1, 3, 2)))

    def gradient(self) -> Array:
        """Zeros for the cotangent of U, ``(n * n, C, F)``."""
        return np.zeros((self.n**2, self.C, self.F), self.dtype)

    def weight_gradient(self, gradient: Array) -> Array:
        """The cotangent of the weights from that of U."""
        dw = np.empty((self.r, self.r, self.C, self.F), self.dtype)
        _over_first(self.GG.T, gradient, dw.reshape(self.r**2, self.C, self.F))
        return dw

    # Value and cotangents of a block.

    def forward(
        self, x: Array, weights: Array, out: Array, bias: Array | None, residual: Array | None
    ) -> None:
        """Cut, transform, multiply, transform back."""
        block = self._scratch(x.shape[0])
        self._cut(x, block)
        np.matmul(self.BT, block.planes, out=block.half)  # along columns
        np.matmul(self.BT, block.tiles, out=block.V_by_row)  # along rows
        multiply(block.V, weights, block.M)  # n * n products (T, C) @ (C, F), T = h * B * w
        if bias is not None:  # the product at the point (1, 1) is added to all outputs of a tile
            np.add(block.M_at_one, bias if bias.ndim == 1 else bias[:, None], out=block.M_at_one)
        np.matmul(self.AT, block.M_by_row, out=block.S)  # along rows
        np.matmul(self.AT, block.S_by_column, out=block.Y_by_column)  # along columns
        self._join(block, out, residual)

    def backward(self, x: Array, dy: Array, weights: Array, gradient: Array) -> Array:
        """The transposed steps in reverse order; V is recomputed, and dM used in both products."""
        block = self._scratch(x.shape[0])
        self._cut(x, block)
        np.matmul(self.BT, block.planes, out=block.half)
        np.matmul(self.BT, block.tiles, out=block.V_by_row)
        self._split(dy, block)
        np.matmul(self.A, block.Y_by_column, out=block.S_by_column)
        np.matmul(self.A, block.S, out=block.M_by_row)
        dU = workspace().scratch("winograd.dU", gradient.shape, self.dtype)
        np.matmul(block.V_transposed, block.M, out=dU)  # n * n products (C, T) @ (T, F)
        np.add(gradient, dU, out=gradient)
        np.matmul(block.M, weights, out=block.V)  # dV: n * n products (T, F) @ (F, C)
        np.matmul(self.B, block.V_by_row, out=block.back)
        np.add(block.again, block.over, out=block.again)  # rows that belong to two tiles
        np.matmul(self.B, block.back_by_column, out=block.half_by_tile)
        np.matmul(self.B, block.back_last, out=block.half_last)
        return self._paste(block)

    def _scratch(self, B: int) -> "_Block":
        return workspace().views((self, B), partial(_Block, self, B))

    # From an image to its tiles and back, each with its transpose.

    def _cut(self, x: Array, block: "_Block") -> None:
        """Distribute the columns of the padded image to planes."""
        source = pixels(x).swapaxes(0, 1)  # (H, B, W) pixels, because planes are (n, rows, B, w)
        for target, columns in zip(block.cut, self.columns, strict=True):
            target[...] = source[:, :, columns]

    def _paste(self, block: "_Block") -> Array:
        """The transpose: add the columns that are in two planes, and collect all columns."""
        for once, again in block.twice:
            np.add(once, again, out=once)
        for target, source in block.paste:
            target[...] = source
        return block.dx

    def _join(self, block: "_Block", out: Array, residual: Array | None) -> None:
        """Put the tiles of the output side by side and crop them to its size."""
        if not self.whole_tiles:
            block.whole_pixels[...] = block.Y_pixels
            np.add(block.inside, 0.0 if residual is None else residual, out=out)
        elif residual is None:
            pixels(out).reshape(block.Y_pixels.shape)[...] = block.Y_pixels
        else:
            shape = block.Y.shape
            np.add(block.Y, residual.reshape(shape), out=out.reshape(shape))

    def _split(self, dy: Array, block: "_Block") -> None:
        """The transpose: cut the cotangent into tiles, zero beyond its edge."""
        if self.whole_tiles:
            block.Y_pixels[...] = pixels(dy).reshape(block.Y_pixels.shape)
        else:
            block.dinside[...] = dy
            block.Y_pixels[...] = block.dwhole_pixels


class _Block:
    """The scratch for B samples, as the views that the steps above need.

    Four arrays are enough: those that share memory below are never needed at the same time.
    """

    def __init__(self, algorithm: Winograd, B: int) -> None:
        n, m, h, w, rows = algorithm.n, algorithm.m, algorithm.h, algorithm.w, algorithm.rows
        C, F, dtype = algorithm.C, algorithm.F, algorithm.dtype
        run, T = B * w * C, h * B * w
        frame = algorithm.space, algorithm.top.start, algorithm.left, m

        def scratch(name: str, *shape: int) -> Array:
            return workspace().scratch(f"winograd.{name}", shape, dtype)

        # "half": after one of two transforms. S is (n, m, T * F), between M and Y.
        most = max(n * rows * run, n * m * T * F)
        self.S = scratch("half", most)[: n * m * T * F].reshape(n, m, -1)
        half = scratch("half", n, rows, run)  # point by column, row of the image, (B, w, C)
        V = scratch("V", n, n, h, run)  # point by column, point by row, row of tiles, (B, w, C)
        # "M": the products M; in the pullback also "back", V after the transform along rows.
        both = scratch("M", n * n * T * max(C, F))
        M, back = both[: n * n * T * F], both[: n * n * T * C].reshape(n, h, n, run)
        # "Y": the tiles of the output, and the cotangent of the image.
        both = scratch("Y", B * max(m * m * h * w * F, math.prod(algorithm.space) * C))
        Y = both[: m * m * T * F].reshape(m, m, h, B, w, F)
        self.dx = both[: B * math.prod(algorithm.space) * C].reshape(B, *algorithm.space, C)
        planes = workspace().framed("winograd.planes", (n, rows, B, w, C), dtype, frame)

        spans = list(enumerate(algorithm.spans))
        self.cut = [pixels(planes)[q, algorithm.top, :, a:b] for q, (a, b) in spans]
        # (rows, n, run): one product (n, n) @ (n, run) for each row of the image.
        self.planes, self.half = planes.reshape(n, rows, run).swapaxes(0, 1), half.swapaxes(0, 1)
        plane, line, item = half.strides
        # (n, h, n, run): tile i has the rows m i ... m i + n - 1, so tiles overlap in memory.
        self.tiles = as_strided(half, (n, h, n, run), (plane, m * line, line, item))
        # V_by_row: (n, h, n, run), like tiles.
        self.V, self.V_by_row = V.reshape(n * n, T, C), V.swapaxes(1, 2)
        self.V_transposed = self.V.swapaxes(1, 2)
        self.M, self.M_by_row = M.reshape(n * n, T, F), M.reshape(n, n, -1)
        self.M_at_one = self.M[algorithm.one].reshape(h, B, w, F)
        self.S_by_column = self.S.swapaxes(0, 1)  # (m, n, T * F)
        # Y: (B, h, m, w, m, F), an image without copying. Y_by_column: (m, m, T * F), row first.
        self.Y, self.Y_by_column = Y.transpose(3, 2, 1, 4, 0, 5), Y.reshape(m, m, -1).swapaxes(0, 1)
        self.Y_pixels = pixels(Y).transpose(3, 2, 1, 4, 0)

        # The last n - m rows of one tile (over) are the first of the next (again).
        self.back, self.again, self.over = back, back[:, 1:, : n - m], back[:, :-1, m:]
        # The first m rows of all tiles, (h, n, m * run), then the last rows, (n - m, n, run).
        self.back_by_column = back.reshape(n, h, n * run)[:, :, : m * run].swapaxes(0, 1)
        self.half_by_tile = half[:, : m * h].reshape(n, h, m * run).swapaxes(0, 1)
        self.back_last = back[:, -1, m:].swapaxes(0, 1)
        self.half_last = half[:, m * h :].swapaxes(0, 1)
        pasted = half.reshape(n, rows, B, w, C)
        # Column m i + q with q >= m is also column m (i + 1) + q - m: add plane q to plane q - m.
        self.twice = [(pasted[q - m, :, :, 1:], pasted[q, :, :, :-1]) for q in range(m, n)]
        target, source = pixels(self.dx).swapaxes(0, 1), pixels(pasted)[:, algorithm.top]
        self.paste = []
        for q, (a, b) in spans:
            a = a if q < m else max(a, w - 1)  # all others are in plane q - m by now
            if a < b:
                columns = slice(m * a + q - algorithm.left, None, m)
                self.paste.append((target[:, :, columns][:, :, : b - a], source[q, :, :, a:b]))
        if not algorithm.whole_tiles:  # the output padded to whole tiles, and its cotangent
            shape, (H, W) = (B, m * h, m * w, F), algorithm.out
            whole = workspace().scratch("winograd.whole", shape, dtype)
            self.whole_pixels = pixels(whole).reshape(B, h, m, w, m)
            self.inside = whole[:, :H, :W]
            whole = workspace().framed("winograd.dwhole", shape, dtype, algorithm.out)
            self.dwhole_pixels = pixels(whole).reshape(B, h, m, w, m)
            self.dinside = whole[:, :H, :W]


def _over_first(matrix: Array, x: Array, out: Array) -> None:
    """``matrix`` times the first of three axes, one product for each index of the second."""
    np.matmul(matrix, x.swapaxes(0, 1), out=out.swapaxes(0, 1))
