"""Winograd's convolution in true float32: two fused transforms around one batched product."""

from dataclasses import dataclass

from npdiff.acceleration import prepacked
from npdiff.backend import Array, namespace
from npdiff.kernels.cuda.device import Device
from npdiff.kernels.cuda.program import THREADS, Program, grid
from npdiff.kernels.cuda.shifted import Pads, out_size


@dataclass(frozen=True)
class Winograd:
    r"""One convolution by F(m, 3) in two dimensions, :eq:`winograd-nested`, at stride 1.

    The pullback computes the weights' cotangent by the adjoint, :eq:`winograd-adjoint`, and the
    input's as the convolution of dy with the reversed taps. For the input the adjoint would have to
    add overlapping tiles, which on a GPU takes either atomic sums, whose order changes from run to
    run, or nine times as many transforms.

    Parameters
    ----------
    device : the device of the arrays
    pads : numbers of zeros (before, after) along each axis; at most 2
    outputs : m, outputs of a tile along each axis
    """

    device: Device
    pads: Pads
    outputs: int = 4

    def value(
        self, x: Array, w: Array, b: Array | None, shift: Array | None, residual: Array | None
    ) -> Array:
        """See :class:`~npdiff.kernels.cuda.conv.GpuConvAlgorithm`."""
        U = prepacked(("cuda", self.outputs), w, self._weights)
        return self._convolved(x, U, self.pads, b, shift, residual)

    def pullback(self, x: Array, w: Array, dy: Array) -> tuple[Array, Array]:
        """See :class:`~npdiff.kernels.cuda.conv.GpuConvAlgorithm`."""
        xp, C, F = namespace(x), w.shape[-2], w.shape[-1]
        reversed_U = prepacked(("cuda", self.outputs, "reversed"), w, self._reversed_weights)
        (top, bottom), (left, right) = self.pads
        dx = self._convolved(dy, reversed_U, ((2 - top, 2 - bottom), (2 - left, 2 - right)))
        V = self._input(x, self.pads, dy.shape[1:3])  # (n * n, tiles, C)
        products = xp.empty((V.shape[0], V.shape[1], F), dtype=x.dtype)  # (n * n, tiles, F)
        self.device.launch(
            self._program(x), "winograd_output_adjoint", grid(products.shape[1] * F), THREADS,
            dy, products, *dy.shape, *self._tiles(dy.shape[1:3]),
        )  # fmt: skip
        dU = xp.empty((V.shape[0], C, F), dtype=x.dtype)
        self.device.multiply(V, products, dU, transposed=(True, False))
        dw = xp.empty(w.shape, dtype=w.dtype)
        self.device.launch(
            self._program(w), "winograd_weights_adjoint", grid(C * F), THREADS, dU, dw, C, F
        )
        return dx, dw

    def _convolved(
        self,
        x: Array,
        U: Array,
        pads: Pads,
        b: Array | None = None,
        shift: Array | None = None,
        residual: Array | None = None,
    ) -> Array:
        xp, F = namespace(x), U.shape[-1]
        size = out_size(x, (3, 3), pads)
        V = self._input(x, pads, size)  # (n * n, tiles, C)
        products = xp.empty((V.shape[0], V.shape[1], F), dtype=x.dtype)
        self.device.multiply(V, U, products)
        y = xp.empty((x.shape[0], *size, F), dtype=x.dtype)
        self.device.launch(
            self._program(x), "winograd_output", grid(V.shape[1] * F), THREADS,
            products, b, shift, residual, y, *y.shape, *self._tiles(size),
        )  # fmt: skip
        return y

    def _input(self, x: Array, pads: Pads, size: tuple[int, ...]) -> Array:
        down, across = self._tiles(size)
        tiles, C = x.shape[0] * down * across, x.shape[-1]
        V = namespace(x).empty(((self.outputs + 2) ** 2, tiles, C), dtype=x.dtype)
        self.device.launch(
            self._program(x), "winograd_input", grid(tiles * C), THREADS,
            x, V, *x.shape, down, across, pads[0][0], pads[1][0],
        )  # fmt: skip
        return V

    def _program(self, x: Array) -> Program:
        return Program("winograd", x.dtype.name, outputs=self.outputs)

    def _tiles(self, size: tuple[int, ...]) -> tuple[int, int]:
        return -(-size[0] // self.outputs), -(-size[1] // self.outputs)

    def _weights(self, w: Array) -> Array:
        """U, ``(n * n, C, F)``."""
        return self._transformed(w, w.shape[-2:], reverse=False)

    def _reversed_weights(self, w: Array) -> Array:
        """U of the reversed taps, from F channels to C: ``(n * n, F, C)``."""
        return self._transformed(w, w.shape[:-3:-1], reverse=True)

    def _transformed(self, w: Array, channels: tuple[int, ...], *, reverse: bool) -> Array:
        U = namespace(w).empty(((self.outputs + 2) ** 2, *channels), dtype=w.dtype)
        count = w.shape[-2] * w.shape[-1]
        self.device.launch(
            self._program(w), "winograd_weights", grid(count), THREADS,
            w, U, *w.shape[-2:], reverse,
        )  # fmt: skip
        return U
