"""Convolution with any stride by patches (im2col): gather each window into a row, then multiply.

Windows overlap, so a row is copied from a padded block in runs of as many pixels as the kernel is
wide. The cotangent of the input is gathered as well, not scattered: the positions of x fall into
classes by their remainder modulo the stride, and in each class the cotangent is a convolution of dy
with stride 1 and every stride-th tap of the kernel in reverse order.
"""

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from npdiff.backend import Array
from npdiff.kernels.products import multiply
from npdiff.kernels.workspace import workspace

#: Elements in the largest array of a block. The matrix product gains more from more rows than the
#: copies lose outside of the second-level cache.
BLOCK_ELEMENTS = 2**19


def add_in_place(out: Array, bias: Array | None, residual: Array | None) -> None:
    """Add ``(F,)`` or ``(B, F)``, then an array of the shape of ``out``, ``(B, *space, F)``."""
    if bias is not None:
        B, width, F = out.shape[0], out.shape[-2], out.shape[-1]
        # One row of the image, (1 or B, 1, width * F): adding long runs is faster.
        rows = np.empty((bias.size // F, 1, width, F), out.dtype)
        rows[...] = bias.reshape(-1, 1, 1, F)
        wide = out.reshape(B, -1, width * F)
        np.add(wide, rows.reshape(-1, 1, width * F), out=wide)
    if residual is not None:
        np.add(out, residual, out=out)


def pixels(a: Array) -> Array:
    """``(..., C)`` as ``(...)`` pixels, one opaque item each, which NumPy copies as a whole."""
    return a.view(np.dtype((np.void, a.shape[-1] * a.itemsize)))[..., 0]


@dataclass(frozen=True)
class ResidueClass:
    """The positions i of one axis of x with i + before = remainder modulo the stride.

    Only every stride-th tap covers them. Position j of the class is at i = start + stride j, and
    ``taps`` cover it, in this order, in the windows first + j, first + j + 1, ...
    """

    start: int
    count: int
    first: int
    taps: range

    @classmethod
    def of(cls, remainder: int, size: int, kernel: int, stride: int, before: int) -> "ResidueClass":
        start = (remainder - before) % stride
        count = -(-(size - start) // stride)
        # Window o covers i with tap k if stride o + k = i + before: larger taps, earlier windows.
        taps = range(remainder, kernel, stride)[::-1]
        first = (start + before - remainder) // stride - (len(taps) - 1)
        return cls(start, count, first, taps)


class Patches:
    """A :class:`~npdiff.kernels.algorithm.ConvAlgorithm` for any kernel, stride and padding.

    Parameters
    ----------
    space : spatial size of x, any number of axes
    kernel : size of the kernel
    C, F : input and output channels
    stride : step of the kernel, the same for all axes
    pads : numbers of zeros (before, after) along each axis
    dtype : dtype of all arrays
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

        by_axis = [
            [ResidueClass.of(r, n, k, stride, p[0]) for r in range(stride)] for n, k, p in axes
        ]
        #: The classes of positions of x, one residue class by axis, that some window covers.
        self._classes = [
            c for c in product(*by_axis) if all(len(r.taps) and r.count > 0 for r in c)
        ]
        self._some_uncovered = len(self._classes) < math.prod(min(n, stride) for n in space)
        self._find_frame_of_dy()
        largest = max(
            math.prod(self.out) * self.depth,
            math.prod(self._framed) * C,
            math.prod(self._dy_framed) * F,
            *(math.prod(r.count * len(r.taps) for r in c) * F for c in self._classes),
        )
        self.block = max(1, BLOCK_ELEMENTS // largest)

    def _find_frame_of_dy(self) -> None:
        """Find the part of dy that the classes read, and how many zeros around it."""
        lows, highs, self._taken, self._put = [], [], [], []
        for axis, size in enumerate(self.out):
            classes = [c[axis] for c in self._classes]
            low = min((r.first for r in classes), default=0)
            high = max((r.first + len(r.taps) - 1 + r.count for r in classes), default=1)
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
        """``count`` windows by axis from ``offset`` on: ``(B * count, kernel * C)``."""
        B, width = framed.shape[0], framed.shape[-1]
        steps = framed.strides[1:-1]
        # One row of a window is one opaque item, so that NumPy copies it in one run. Windows
        # overlap in the frame: (B, *count, *kernel[:-1]) items.
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
        """The patches of a block of x, ``(B * positions, taps * C)``."""
        B = x.shape[0]
        framed = workspace().framed(
            self.name, (max(B, self.block), *self._framed, self.C), self.dtype, "x"
        )[:B]
        framed[(slice(None), *self._inside)] = x
        return self._gather(framed, self.kernel, self.out, (0,) * len(self.out), self.stride)

    def resized(self, space: tuple[int, ...], pads: Any) -> "Patches":
        """The same convolution for images of another size."""
        args = self.kernel, self.C, self.F, self.stride
        return Patches(space, *args, pads, self.dtype)

    def forward_weights(self, w: Array) -> Array:
        """``(taps * C, F)``."""
        return np.ascontiguousarray(w).reshape(self.depth, self.F)

    def forward(
        self, x: Array, weights: Array, out: Array, bias: Array | None, residual: Array | None
    ) -> None:
        """Patches times weights."""
        multiply(self._patches(x), weights, out.reshape(-1, self.F))
        add_in_place(out, bias, residual)

    def backward_weights(self, w: Array) -> Array:
        """``(taps * F, C)``: the transposed taps, grouped by class of positions."""
        order = [tap for c in self._classes for tap in product(*(r.taps for r in c))]
        transposed = np.empty((len(order), self.F, self.C), self.dtype)
        for i, tap in enumerate(order):
            transposed[i] = w[tap].T
        return transposed.reshape(-1, self.C)

    def gradient(self) -> Array:
        """Zeros ``(taps * C, F)``."""
        return np.zeros((self.depth, self.F), self.dtype)

    def backward(self, x: Array, dy: Array, weights: Array, gradient: Array) -> Array:
        """Patches of x times dy give dw; patches of dy times the weights give dx."""
        ws, B = workspace(), x.shape[0]
        dw = ws.scratch("patches dw", gradient.shape, self.dtype)  # (taps * C, F)
        np.matmul(self._patches(x).T, dy.reshape(-1, self.F), out=dw)
        np.add(gradient, dw, out=gradient)

        framed = ws.framed(
            self.name + " dy", (max(B, self.block), *self._dy_framed, self.F), self.dtype, "dy"
        )[:B]
        framed[(slice(None), *self._put)] = dy[(slice(None), *self._taken)]
        dx = ws.scratch("patches dx", (B, *self.space, self.C), self.dtype)
        if self._some_uncovered:
            dx[...] = 0.0
        done = 0
        for classes in self._classes:
            taps = tuple(len(r.taps) for r in classes)
            count = tuple(r.count for r in classes)
            offset = tuple(r.first - low for r, low in zip(classes, self._lows, strict=True))
            rows = self._gather(framed, taps, count, offset, 1)  # (B * count, taps of class * F)
            class_weights = weights[done : done + rows.shape[1]]  # (taps of class * F, C)
            done += rows.shape[1]
            if self.stride == 1:
                np.matmul(rows, class_weights, out=dx.reshape(-1, self.C))
            else:  # distribute to every stride-th position
                part = ws.scratch("patches class", (B, *count, self.C), self.dtype)
                np.matmul(rows, class_weights, out=part.reshape(-1, self.C))
                positions = tuple(slice(r.start, None, self.stride) for r in classes)
                pixels(dx)[(slice(None), *positions)] = pixels(part)
        return dx

    def weight_gradient(self, gradient: Array) -> Array:
        """The same elements in the shape of the weights."""
        return gradient.reshape(*self.kernel, self.C, self.F)
