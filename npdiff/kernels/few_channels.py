"""Convolutions with few channels on one side: the first and the last of a network.

Copying or adding runs of three channels is slow. Both classes therefore store the side with few
channels as planes, ``(taps, C, positions)``, in which a row of the image is one run:

* :class:`FewInputChannels` gathers shifted planes of x and multiplies them by the weights once;
* :class:`FewOutputChannels` multiplies x by the weights of all taps once, then adds shifted planes.

Each is the transpose of the other: the cotangent of the input of one is computed like the value of
the other, with the taps in reverse order.
"""

import math
from typing import Any

import numpy as np

from npdiff.backend import Array
from npdiff.kernels.patches import add_in_place
from npdiff.kernels.workspace import workspace

Pads = tuple[tuple[int, int], ...]

#: Elements in the largest array of a block.
BLOCK_ELEMENTS = 2**19


class Planes:
    """The part common to both: shapes, and the gathering and adding of shifted planes.

    Parameters
    ----------
    space : spatial size of x, any number of axes
    kernel : size of the kernel; the stride is 1
    C, F : input and output channels
    pads : numbers of zeros (before, after) along each axis
    dtype : dtype of all arrays
    """

    def __init__(
        self,
        space: tuple[int, ...],
        kernel: tuple[int, ...],
        C: int,
        F: int,
        pads: Pads,
        dtype: Any,
    ) -> None:
        axes = list(zip(space, kernel, pads, strict=True))
        self.space, self.kernel, self.C, self.F = space, kernel, C, F
        self.pads, self.dtype = pads, np.dtype(dtype)
        self.out = tuple(n + sum(p) - k + 1 for n, k, p in axes)
        self.pads_of_dy = tuple((k - 1 - p[0], k - 1 - p[1]) for _, k, p in axes)
        self.taps = math.prod(kernel)
        widest = max(C, F, self.taps * min(C, F))
        self.block = max(1, BLOCK_ELEMENTS // (widest * max(math.prod(space), math.prod(self.out))))
        self.name = f"{type(self).__name__} {space} {kernel} {C} {F} {pads} {dtype}"

    def _gather(self, a: Array, pads: Pads) -> Array:
        """The shifted planes a[o + k - p] of ``(B, *n, C)``: ``(taps * C, B * positions)``."""
        B, size, C = a.shape[0], a.shape[1:-1], a.shape[-1]
        width = tuple(n + sum(p) for n, p in zip(size, pads, strict=True))
        out = tuple(m - k + 1 for m, k in zip(width, self.kernel, strict=True))
        # (B, C, *width): planes with their border of zeros, channels before space.
        framed = workspace().framed(self.name, (max(B, self.block), C, *width), self.dtype, pads)
        # Negative pads crop the image instead.
        taken = tuple(
            slice(max(0, -p), n + min(0, q)) for n, (p, q) in zip(size, pads, strict=True)
        )
        put = tuple(slice(t.start + p, t.stop + p) for t, (p, _) in zip(taken, pads, strict=True))
        framed[(slice(B), slice(None), *put)] = np.moveaxis(a, -1, 1)[(..., *taken)]

        # A row of the output is one opaque item, so that NumPy copies it in one run. Windows
        # overlap in the frame: (*kernel, C, B, *out[:-1]) items, strides (*space, C, B, *space).
        run = np.dtype((np.void, out[-1] * framed.itemsize))
        sample, channel, *steps = framed.strides
        windows = np.ndarray(
            (*self.kernel, C, B, *out[:-1]),
            run,
            buffer=framed,
            strides=(*steps, channel, sample, *steps[:-1]),
        )
        shape = (self.taps * C, B * math.prod(out))
        planes = workspace().scratch("few_channels.planes", shape, self.dtype)
        planes.reshape(-1).view(run).reshape(windows.shape)[...] = windows
        return planes

    def _fold(self, planes: Array, B: int, size: tuple[int, ...], pads: Pads) -> Array:
        """The transpose of :meth:`_gather`, up to the order of taps: the sum over taps k of the
        planes k at o + k - p, ``(C, B, *out)``, one axis after the other."""
        planes = planes.reshape(*self.kernel, -1, B, *size)  # (*kernel, C, B, *size)
        for axis, (n, k, p) in enumerate(zip(size, self.kernel, pads, strict=True), -len(size)):
            # Sums over the first axis of the kernel: (k, ..., n, ...) becomes (..., m, ...).
            m = n + sum(p) - k + 1
            unshifted = p[0] if m == n else None
            if unshifted is None:
                shape = list(planes.shape[1:])
                shape[axis] = m
                total = workspace().scratch(f"few_channels.sum {axis}", tuple(shape), self.dtype)
                total[...] = 0.0
            else:
                total = planes[unshifted]
            to, taps = np.moveaxis(total, axis, 0), np.moveaxis(planes, axis, 1)
            for tap in range(k):
                start, stop = max(0, p[0] - tap), min(m, n + p[0] - tap)
                if tap != unshifted and start < stop:
                    part = to[start:stop]
                    np.add(part, taps[tap, start + tap - p[0] : stop + tap - p[0]], out=part)
            planes = total
        return planes

    def _reversed(self, w: Array) -> Array:
        """``w`` with its taps in reverse order along all axes: ``(taps, C, F)``."""
        return w.reshape(self.taps, self.C, self.F)[::-1]


class FewInputChannels(Planes):
    """A :class:`~npdiff.kernels.algorithm.ConvAlgorithm` from few channels to many."""

    def forward_weights(self, w: Array) -> Array:
        """``(taps * C, F)``."""
        return np.ascontiguousarray(w).reshape(-1, self.F)

    def forward(
        self, x: Array, weights: Array, out: Array, bias: Array | None, residual: Array | None
    ) -> None:
        """The planes of x times the weights."""
        np.matmul(self._gather(x, self.pads).T, weights, out=out.reshape(-1, self.F))
        add_in_place(out, bias, residual)

    def backward_weights(self, w: Array) -> Array:
        """``(taps * C, F)``, the taps in reverse order."""
        return self._reversed(w).reshape(-1, self.F)

    def gradient(self) -> Array:
        """Zeros ``(taps * C, F)``."""
        return np.zeros((self.taps * self.C, self.F), self.dtype)

    def backward(self, x: Array, dy: Array, weights: Array, gradient: Array) -> Array:
        """Planes of x times dy give dw; weights times dy give planes of dx, which are added."""
        ws, B = workspace(), x.shape[0]
        rows = dy.reshape(-1, self.F)  # (B * positions, F)
        dw = ws.scratch("few_channels.dw", gradient.shape, self.dtype)  # (taps * C, F)
        np.matmul(self._gather(x, self.pads), rows, out=dw)
        np.add(gradient, dw, out=gradient)
        planes = ws.scratch("few_channels.planes", (len(weights), len(rows)), self.dtype)
        np.matmul(weights, rows.T, out=planes)  # (taps * C, B * positions)
        dx = ws.scratch("few_channels.dx", x.shape, self.dtype)
        dx[...] = np.moveaxis(self._fold(planes, B, self.out, self.pads_of_dy), 0, -1)
        return dx

    def weight_gradient(self, gradient: Array) -> Array:
        """The same elements in the shape of the weights."""
        return gradient.reshape(*self.kernel, self.C, self.F)


class FewOutputChannels(Planes):
    """A :class:`~npdiff.kernels.algorithm.ConvAlgorithm` from many channels to few."""

    def forward_weights(self, w: Array) -> Array:
        """``(taps * F, C)``."""
        planes = np.ascontiguousarray(w.reshape(self.taps, self.C, self.F).swapaxes(1, 2))
        return planes.reshape(-1, self.C)

    def forward(
        self, x: Array, weights: Array, out: Array, bias: Array | None, residual: Array | None
    ) -> None:
        """The weights of all taps times x; the planes are shifted and added."""
        B, rows = x.shape[0], x.reshape(-1, self.C)  # (B * positions, C)
        planes = workspace().scratch("few_channels.planes", (len(weights), len(rows)), self.dtype)
        np.matmul(weights, rows.T, out=planes)  # (taps * F, B * positions)
        y = self._fold(planes, B, self.space, self.pads)  # (F, B, *out)
        if bias is not None:  # (F, 1 or B, 1, ...)
            y += bias.reshape(-1, self.F).T.reshape(self.F, -1, *(1,) * len(self.out))
        out[...] = np.moveaxis(y, 0, -1)
        add_in_place(out, None, residual)

    def backward_weights(self, w: Array) -> Array:
        """``(taps * F, C)``, the taps in reverse order."""
        return np.ascontiguousarray(self._reversed(w).swapaxes(1, 2)).reshape(-1, self.C)

    def gradient(self) -> Array:
        """Zeros ``(taps * F, C)``, the taps in reverse order."""
        return np.zeros((self.taps * self.F, self.C), self.dtype)

    def backward(self, x: Array, dy: Array, weights: Array, gradient: Array) -> Array:
        """Planes of dy times x give dw; planes of dy times the weights give dx."""
        ws, rows = workspace(), x.reshape(-1, self.C)  # (B * positions, C)
        planes = self._gather(dy, self.pads_of_dy)  # (taps * F, B * positions)
        dw = ws.scratch("few_channels.dw", gradient.shape, self.dtype)  # (taps * F, C)
        np.matmul(planes, rows, out=dw)
        np.add(gradient, dw, out=gradient)
        dx = ws.scratch("few_channels.dx", x.shape, self.dtype)
        np.matmul(planes.T, weights, out=dx.reshape(-1, self.C))
        return dx

    def weight_gradient(self, gradient: Array) -> Array:
        """The taps in their original order, in the shape of the weights."""
        taps = gradient.reshape(self.taps, self.F, self.C)[::-1].swapaxes(1, 2)
        return np.ascontiguousarray(taps).reshape(*self.kernel, self.C, self.F)


def few_channel_algorithm(
    kernel: tuple[int, ...], C: int, F: int, stride: int, *, winograd: bool = False
) -> type[FewInputChannels] | type[FewOutputChannels] | None:
    """The class that is faster than :class:`~npdiff.kernels.patches.Patches`, or None.

    Value and pullback measured in both precisions for C and F from 1 to 128, images 8 x 8 and
    32 x 32, kernels of one to three axes:

    * :class:`FewInputChannels` takes 0.4 to 0.95 of the time of patches up to C = F / 5, where
      both are equal, but 0.9 to 1.1 of it with kernels of two or three pixels;
    * :class:`FewOutputChannels` takes 0.35 to 0.95 of it up to F = C / 4, and 1.0 from there to
      F = C / 3.

    Neither class supports a stride or a kernel of one pixel. If Winograd's convolution is the
    alternative (``winograd``), they are faster than it only up to C = 3 (0.4 to 1.2 of its time;
    1.2 to 1.6 at C = 4) and F = 4 (0.2 to 0.98; 0.7 to 1.1 at F = 5).
    """
    taps = math.prod(kernel)
    if stride != 1 or taps == 1:
        return None
    if 5 * C <= F and taps >= 9 and not (winograd and C > 3):
        return FewInputChannels
    return FewOutputChannels if 4 * F <= C and not (winograd and F > 4) else None
