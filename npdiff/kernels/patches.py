"""Convolution of any kind by patches: gather each window into a row, then one matrix product.

The windows overlap, so that a row is copied from a block with zeros around it in runs of as many
pixels as the kernel is wide. The cotangent of the input is gathered as well, not scattered: the
positions of x fall into classes by their remainder modulo the stride, and in each class it is a
convolution of dy, at stride 1, with every stride-th tap of the kernel in reverse order.
"""

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from npdiff.backend import Array
from npdiff.kernels.products import multiply
from npdiff.kernels.workspace import workspace

#: Numbers in the largest array of a block. The product of matrices gains more from more rows than
#: the copies lose outside of the second level of cache.
NUMBERS = 2**19


def add_in_place(out: Array, bias: Array | None, residual: Array | None) -> None:
    """Add ``(F,)`` or ``(B, F)``, then an array of the shape of ``out``, ``(B, *space, F)``."""
    if bias is not None:
        B, width, F = out.shape[0], out.shape[-2], out.shape[-1]
        rows = np.empty((bias.size // F, 1, width, F), out.dtype)  # long runs instead of short ones
        rows[...] = bias.reshape(-1, 1, 1, F)
        wide = out.reshape(B, -1, width * F)
        np.add(wide, rows.reshape(-1, 1, width * F), out=wide)
    if residual is not None:
        np.add(out, residual, out=out)


def pixels(a: Array) -> Array:
    """``(..., C)`` as an array of its pixels: one item each, copied as one."""
    return a.view(np.dtype((np.void, a.shape[-1] * a.itemsize)))[..., 0]


@dataclass(frozen=True)
class Reach:
    """The positions i of one axis of x with i + before = remainder modulo the stride.

    Only every stride-th tap ever meets one of them. Position j of the class is at i = start +
    stride j, and ``taps`` meet it, in this order, in the windows first + j, first + j + 1, ...
    """

    start: int
    count: int
    first: int
    taps: range

    @classmethod
    def of(cls, remainder: int, size: int, kernel: int, stride: int, before: int) -> "Reach":
        start = (remainder - before) % stride
        count = -(-(size - start) // stride)
        # s o + k = i + before: the larger the tap, the earlier the window it belongs to.
        taps = range(remainder, kernel, stride)[::-1]
        first = (start + before - remainder) // stride - (len(taps) - 1)
        return cls(start, count, first, taps)


class Patches:
    """Convolution by a matrix product of patches, :class:`~npdiff.kernels.algorithm.ConvAlgorithm`.

    Parameters
    ----------
    space : sizes of x, any number of axes
    kernel : sizes of the kernel
    C, F : channels in and out
    stride : step of the kernel, the same for all axes
    pads : zeros (before, after) each axis
    dtype : of all arrays
    """

    def __init__(
        self,
        space: tuple[int, ...],
        kernel: tuple[int, ...],
        C: int,
        F: int,
        stride: int,
        pads: tuple[tuple[int, int], ...],
        dtype: Any,
    ) -> None:
        self.space, self.kernel, self.C, self.F = space, kernel, C, F
        self.stride, self.pads, self.dtype = stride, pads, np.dtype(dtype)
        axes = list(zip(space, kernel, pads, strict=True))
        self.out = tuple((n + sum(p) - k) // stride + 1 for n, k, p in axes)
        self.depth = math.prod(kernel) * C
        self._framed = tuple(n + sum(p) for n, _, p in axes)
        self._inside = tuple(slice(p[0], p[0] + n) for n, _, p in axes)
        self.name = f"Patches {space} {kernel} {C} {F} {stride} {pads} {dtype}"

        reaches = [[Reach.of(r, n, k, stride, p[0]) for r in range(stride)] for n, k, p in axes]
        #: The classes of positions of x that some window sees.
        self._classes = [
            c for c in product(*reaches) if all(len(r.taps) and r.count > 0 for r in c)
        ]
        self._unseen = len(self._classes) < math.prod(min(n, stride) for n in space)
        self._frame_of_dy()
        largest = max(
            math.prod(self.out) * self.depth,
            math.prod(self._framed) * C,
            math.prod(self._dy_framed) * F,
            *(math.prod(r.count * len(r.taps) for r in c) * F for c in self._classes),
        )
        self.block = max(1, NUMBERS // largest)

    def _frame_of_dy(self) -> None:
        """The part of dy that the classes read, and the zeros around it that they read too."""
        lows, highs, self._taken, self._put = [], [], [], []
        for axis, size in enumerate(self.out):
            own = [c[axis] for c in self._classes]
            low = min((r.first for r in own), default=0)
            high = max((r.first + len(r.taps) - 1 + r.count for r in own), default=1)
            start, stop = max(low, 0), min(high, size)
            lows.append(low)
            highs.append(high)
            self._taken.append(slice(start, stop))
            self._put.append(slice(start - low, stop - low))
        self._lows = tuple(lows)
        self._dy_framed = tuple(b - a for a, b in zip(lows, highs, strict=True))

    def _gather(
        self,
        framed: Array,
        kernel: tuple[int, ...],
        count: tuple[int, ...],
        offset: tuple[int, ...],
        stride: int,
    ) -> Array:
        """The windows from ``offset`` on, ``(B * count, kernel * C)``, copied in runs."""
        B, width = framed.shape[0], framed.shape[-1]
        steps = framed.strides[1:-1]
        run = np.dtype((np.void, kernel[-1] * width * framed.itemsize))
        windows = np.ndarray(
            (B, *count, *kernel[:-1]),
            run,
            buffer=framed,
            offset=sum(o * s for o, s in zip(offset, steps, strict=True)),
            strides=(framed.strides[0], *(stride * s for s in steps), *steps[:-1]),
        )
        depth = math.prod(kernel) * width
        rows = workspace().scratch("patches", (B * math.prod(count), depth), self.dtype)
        rows.reshape(-1).view(run).reshape(windows.shape)[...] = windows
        return rows

    def _patches(self, x: Array) -> Array:
        """im2col of a block of x."""
        B = x.shape[0]
        framed = workspace().framed(
            self.name, (max(B, self.block), *self._framed, self.C), self.dtype, "x"
        )[:B]
        framed[(slice(None), *self._inside)] = x
        return self._gather(framed, self.kernel, self.out, (0,) * len(self.out), self.stride)

    def resized(self, space: tuple[int, ...], pads: Any) -> "Patches":
        """The same for images of another size."""
        args = self.kernel, self.C, self.F, self.stride
        return Patches(space, *args, pads, self.dtype)

    def forward_weights(self, w: Array) -> Array:
        """``(K * C, F)``."""
        return np.ascontiguousarray(w).reshape(self.depth, self.F)

    def forward(
        self, x: Array, weights: Array, out: Array, bias: Array | None, residual: Array | None
    ) -> None:
        """Patches times weights."""
        multiply(self._patches(x), weights, out.reshape(-1, self.F))
        add_in_place(out, bias, residual)

    def backward_weights(self, w: Array) -> Array:
        """``(K * F, C)``: the taps of class after class, each transposed."""
        order = [tap for c in self._classes for tap in product(*(r.taps for r in c))]
        turned = np.empty((len(order), self.F, self.C), self.dtype)
        for i, tap in enumerate(order):
            turned[i] = w[tap].T
        return turned.reshape(-1, self.C)

    def gradient(self) -> Array:
        """Zeros ``(K * C, F)``."""
        return np.zeros((self.depth, self.F), self.dtype)

    def backward(self, x: Array, dy: Array, weights: Array, gradient: Array) -> Array:
        """The patches of x meet dy in the weights; the patches of dy meet the weights in x."""
        ws, B = workspace(), x.shape[0]
        parallel_for = ws.scratch("patches dw", gradient.shape, self.dtype)
        np.matmul(self._patches(x).T, dy.reshape(-1, self.F), out=parallel_for)
        np.add(gradient, parallel_for, out=gradient)

        framed = ws.framed(
            self.name + " dy", (max(B, self.block), *self._dy_framed, self.F), self.dtype, "dy"
        )[:B]
        framed[(slice(None), *self._put)] = dy[(slice(None), *self._taken)]
        dx = ws.scratch("patches dx", (B, *self.space, self.C), self.dtype)
        if self._unseen:
            dx[...] = 0.0
        done = 0
        for reaches in self._classes:
            taps = tuple(len(r.taps) for r in reaches)
            count = tuple(r.count for r in reaches)
            offset = tuple(r.first - low for r, low in zip(reaches, self._lows, strict=True))
            rows = self._gather(framed, taps, count, offset, 1)
            own = weights[done : done + rows.shape[1]]
            done += rows.shape[1]
            if self.stride == 1:
                np.matmul(rows, own, out=dx.reshape(-1, self.C))
            else:
                part = ws.scratch("patches class", (B, *count, self.C), self.dtype)
                np.matmul(rows, own, out=part.reshape(-1, self.C))
                places = tuple(slice(r.start, None, self.stride) for r in reaches)
                pixels(dx)[(slice(None), *places)] = pixels(part)
        return dx

    def weight_gradient(self, gradient: Array) -> Array:
        """The same numbers in the shape of the weights."""
        return gradient.reshape(*self.kernel, self.C, self.F)
