r"""Winograd's convolution: tiles of an image and of the kernel at points, where products suffice.

A stride-1 convolution with an r x r kernel, m x m outputs at a time from tiles of n x n pixels,
n = m + r - 1: :eq:`winograd-nested`. For F(4x4, 3x3) that is 36 products for 16 outputs where the
definition takes 144. All products of one point are a matrix product of tiles and channels.

Everything but that product is linear and has its transpose in the pullback: tiles are cut out of
the image (:meth:`Winograd._cut`) and added back (:meth:`Winograd._paste`), and the transforms along
rows and columns are matrix products with the small matrices and with their transposes. The columns
of an image are dealt out to n planes, so that both run over long rows of memory:

===========  ==============================  =====================================================
array        shape                           meaning
===========  ==============================  =====================================================
planes       ``(n, m h + r - 1, B, w, C)``   column m i + q of the padded image at ``[q, :, :, i]``
V            ``(n * n, h * B * w, C)``       the tiles at the points; first of columns, then rows
U            ``(n * n, C, F)``               the kernel at the points
M            ``(n * n, h * B * w, F)``       their products
Y            ``(m, m, h, B, w, F)``          the tiles of the output; column in a tile, then row
===========  ==============================  =====================================================
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from npdiff.backend import Array
from npdiff.kernels.cook_toom import matrices
from npdiff.kernels.patches import pixels
from npdiff.kernels.workspace import workspace

#: Elements of a block's image, and tiles, that a block should have: enough for a matrix product to
#: run at speed, few enough to stay in the cache.
ELEMENTS, TILES = 2**17, 128


@lru_cache
def _matrices(m: int, r: int, dtype: str) -> tuple[np.ndarray, ...]:
    """A (n, m), B (n, n), and G x G (n * n, r * r), which takes a kernel to all points."""
    AT, G, BT = matrices(m, r).arrays()
    n = m + r - 1
    both = np.einsum("jv,iu->jiuv", G, G).reshape(n * n, r * r)
    A, B, GG = (np.ascontiguousarray(a, dtype=dtype) for a in (AT.T, BT.T, both))
    return A, B, GG


class Winograd:
    """F(m x m, r x r) over blocks of images of one shape: a :class:`~npdiff.kernels.method.Method`.

    Parameters
    ----------
    space : (H, W) of the image
    kernel : r
    channels, features : C, F
    pads : zeros before and after, for each axis
    dtype : of all arrays
    tile : m
    """

    def __init__(
        self,
        space: tuple[int, int],
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
        self.rows = m * self.h + r - 1
        self.whole = self.out == (m * self.h, m * self.w)
        self.A, self.B, self.GG = _matrices(m, r, self.dtype.str)
        self.one = matrices(m, r).one * (self.n + 1)
        self.pads, self.kernel = pads, (r, r)
        self.top = slice(pads[0][0], pads[0][0] + space[0])
        # Plane q holds the columns m i + q; those of them that are in the image are i = a .. b - 1.
        self.left = pads[1][0]
        a = [max(0, -((q - self.left) // m)) for q in range(self.n)]
        b = [min(self.w, -((q - self.left - space[1]) // m)) for q in range(self.n)]
        self.spans = list(zip(a, b, strict=True))
        elements = math.prod(space) * max(channels, features)
        self.block = max(1, ELEMENTS // elements, -(-TILES // (self.h * self.w)))

    def resized(self, space: tuple[int, int], pads: Any) -> "Winograd":
        """The same for images of another size."""
        return Winograd(space, self.r, self.C, self.F, pads, self.dtype, self.m)

    # The weights.

    def forward_weights(self, w: Array) -> Array:
        """U."""
        U = np.empty((self.n**2, *w.shape[2:]), self.dtype)
        _over_first(self.GG, w.reshape(self.r**2, *w.shape[2:]), U)
        return U

    def backward_weights(self, w: Array) -> Array:
        """U with every matrix transposed, and contiguous so: faster than a transposed view."""
        return self.forward_weights(np.ascontiguousarray(w.transpose(0, 1, 3, 2)))

    def gradient(self) -> Array:
        """The cotangent of U."""
        return np.zeros((self.n**2, self.C, self.F), self.dtype)

    def weight_gradient(self, gradient: Array) -> Array:
        """What the cotangent of U says of the weights."""
        dw = np.empty((self.r, self.r, self.C, self.F), self.dtype)
        _over_first(self.GG.T, gradient, dw.reshape(self.r**2, self.C, self.F))
        return dw

    # A block.

    def forward(
        self, x: Array, weights: Array, out: Array, bias: Array | None, residual: Array | None
    ) -> None:
        """Cut, transform, multiply, transform back."""
        B, n, m, h, w, F = x.shape[0], self.n, self.m, self.h, self.w, self.F
        scratch = workspace().scratch
        V = self._transform(self._cut(x))
        M = scratch("winograd.M", (n * n, h * B * w, F), self.dtype)
        np.matmul(V, weights, out=M)
        if bias is not None:  # at the point 1 in both directions: it goes to every output alike
            at_one = M[self.one].reshape(h, B, w, F)
            np.add(at_one, bias if bias.ndim == 1 else bias[:, None], out=at_one)
        S = scratch("winograd.S", (n, m, h * B * w * F), self.dtype)
        np.matmul(self.A.T, M.reshape(n, n, -1), out=S)
        Y = scratch("winograd.Y", (m, m, h, B, w, F), self.dtype)
        np.matmul(self.A.T, S.transpose(1, 0, 2), out=Y.reshape(m, m, -1).transpose(1, 0, 2))
        self._join(Y, out, residual)

    def backward(self, x: Array, dy: Array, weights: Array, gradient: Array) -> Array:
        """The lines of :meth:`forward` upwards; V is made again, dM serves both cotangents."""
        B, n, m, h, w, F = x.shape[0], self.n, self.m, self.h, self.w, self.F
        scratch = workspace().scratch
        V = self._transform(self._cut(x))
        dY = self._split(dy)
        dS = scratch("winograd.S", (n, m, h * B * w * F), self.dtype)
        np.matmul(self.A, dY.reshape(m, m, -1).transpose(1, 0, 2), out=dS.transpose(1, 0, 2))
        dM = scratch("winograd.M", (n * n, h * B * w, F), self.dtype)
        np.matmul(self.A, dS, out=dM.reshape(n, n, -1))
        dU = scratch("winograd.dU", gradient.shape, self.dtype)
        np.matmul(V.transpose(0, 2, 1), dM, out=dU)
        np.add(gradient, dU, out=gradient)
        np.matmul(dM, weights, out=V)
        return self._paste(self._transform_back(V, B))

    # From an image to the points and back: each with its transpose.

    def _cut(self, x: Array) -> Array:
        """The columns of the padded image dealt out to planes, rows first."""
        B, frame = x.shape[0], (self.space, self.top.start, self.left, self.m)
        shape = (self.n, self.rows, B, self.w, self.C)
        planes = workspace().framed("winograd.planes", shape, self.dtype, frame)
        source, target = pixels(x).swapaxes(0, 1), pixels(planes)
        for q, (a, b) in enumerate(self.spans):
            first = self.m * a + q - self.left
            target[q, self.top, :, a:b] = source[:, :, first :: self.m][:, :, : b - a]
        return planes

    def _paste(self, planes: Array) -> Array:
        """The transpose: a column that stands in two planes gets the sum."""
        n, m, w, B = self.n, self.m, self.w, planes.shape[2]
        dx = workspace().scratch("winograd.dx", (B, *self.space, self.C), self.dtype)
        for q in range(m, n):
            again = planes[q - m, :, :, 1:]
            np.add(again, planes[q, :, :, : w - 1], out=again)
        source, target = pixels(planes), pixels(dx).swapaxes(0, 1)
        for q, (a, b) in enumerate(self.spans):
            a = a if q < m else max(a, w - 1)  # the others have been added
            if a < b:
                first = m * a + q - self.left
                target[:, :, first::m][:, :, : b - a] = source[q, self.top, :, a:b]
        return dx

    def _transform(self, planes: Array) -> Array:
        """V: along the columns, then along the rows of overlapping tiles."""
        n, m, h = self.n, self.m, self.h
        run = planes[0, 0].size
        lines = planes.reshape(n, self.rows, run)
        half = workspace().scratch("winograd.half", lines.shape, self.dtype)
        np.matmul(self.B.T, lines.swapaxes(0, 1), out=half.swapaxes(0, 1))
        V = workspace().scratch("winograd.V", (n, n, h, run), self.dtype)
        plane, line, item = half.strides
        tiles = as_strided(half, (n, h, n, run), (plane, m * line, line, item))
        np.matmul(self.B.T, tiles, out=V.swapaxes(1, 2))
        return V.reshape(n * n, -1, self.C)

    def _transform_back(self, dV: Array, B: int) -> Array:
        """The transpose: along the rows, overlapping rows added, along the columns."""
        n, m, h = self.n, self.m, self.h
        run = B * self.w * self.C
        scratch = workspace().scratch
        tiles = scratch("winograd.tiles", (n, h, n, run), self.dtype)
        np.matmul(self.B, dV.reshape(n, n, h, run).swapaxes(1, 2), out=tiles)
        np.add(tiles[:, 1:, : n - m], tiles[:, :-1, m:], out=tiles[:, 1:, : n - m])
        planes = scratch("winograd.half", (n, self.rows, run), self.dtype)
        np.matmul(
            self.B,
            tiles.reshape(n, h, n * run)[:, :, : m * run].swapaxes(0, 1),
            out=planes.reshape(n, -1)[:, : m * h * run].reshape(n, h, -1).swapaxes(0, 1),
        )
        last, below = tiles[:, -1, m:], planes[:, m * h :]
        np.matmul(self.B, last.swapaxes(0, 1), out=below.swapaxes(0, 1))
        return planes.reshape(n, self.rows, B, self.w, self.C)

    def _join(self, Y: Array, out: Array, residual: Array | None) -> None:
        """The tiles of the output laid side by side, cut to its size."""
        m, h, w = self.m, self.h, self.w
        whole = out
        if not self.whole:
            shape = (out.shape[0], m * h, m * w, self.F)
            whole = workspace().scratch("winograd.whole", shape, self.dtype)
        tiles = Y.transpose(3, 2, 1, 4, 0, 5)
        if residual is not None and self.whole:
            np.add(tiles, residual.reshape(tiles.shape), out=whole.reshape(tiles.shape))
            return
        target = pixels(whole).reshape(tiles.shape[:-1])
        target[...] = pixels(Y).transpose(3, 2, 1, 4, 0)
        if not self.whole:
            inside = whole[:, : self.out[0], : self.out[1]]
            np.add(inside, 0.0 if residual is None else residual, out=out)

    def _split(self, dy: Array) -> Array:
        """The transpose: the tiles of the cotangent, zero beyond its edge."""
        B, m, h, w = dy.shape[0], self.m, self.h, self.w
        if not self.whole:
            shape = (B, m * h, m * w, self.F)
            whole = workspace().framed("winograd.dwhole", shape, self.dtype, self.out)
            whole[:, : self.out[0], : self.out[1]] = dy
            dy = whole
        dY = workspace().scratch("winograd.Y", (m, m, h, B, w, self.F), self.dtype)
        pixels(dY).transpose(3, 2, 1, 4, 0)[...] = pixels(dy).reshape(B, h, m, w, m)
        return dY


def _over_first(matrix: Array, x: Array, out: Array) -> None:
    """``matrix`` times the first of three axes, in products of a width that the cache holds."""
    np.matmul(matrix, x.swapaxes(0, 1), out=out.swapaxes(0, 1))
