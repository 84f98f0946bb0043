"""Convolution as one matrix product for each tap, on shifted views of a padded array."""

from dataclasses import dataclass

from npdiff.acceleration import prepacked
from npdiff.backend import Array, namespace
from npdiff.kernels.cuda.device import Device
from npdiff.kernels.cuda.program import THREADS, Program, grid

Pads = tuple[tuple[int, int], tuple[int, int]]

#: The largest value of half precision.
LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class ShiftedProducts:
    r"""A convolution with K x K taps at stride 1.

    The padded images are stored as one matrix with a row of C elements for each pixel, PW pixels
    for each line of an image. The pixel under tap (i, j) is then i PW + j rows further on, for
    every output, so nothing is gathered: products of shifted views with the taps are added up. Rows
    at the ends of lines and images, which belong to no output, are computed as well and dropped.

    The pullback is the transpose: the cotangent in the same padded layout, zero where there is no
    output, after as many rows of zeros as the largest shift.

    Parameters
    ----------
    device : the device of the arrays
    pads : numbers of zeros (before, after) along each axis
    half : whether the factors of the value are rounded to half precision
    tf32 : whether the device may round factors to TF32
    """

    device: Device
    pads: Pads
    half: bool = False
    tf32: bool = False

    def value(
        self, x: Array, w: Array, b: Array | None, shift: Array | None, residual: Array | None
    ) -> Array:
        """See :class:`~npdiff.kernels.cuda.conv.GpuConvAlgorithm`."""
        size = N, PH, PW = self._padded_size(x)
        shifts = _shifts(w, PW)
        rows = N * PH * PW - shifts[-1]
        taps = prepacked(("cuda", "half"), w, _halved) if self.half else w
        # padded: (N * PH * PW, C), products: (N * PH * PW, F).
        padded = self._padded(x, size, (self.pads[0][0], self.pads[1][0]), half=self.half)
        products = namespace(x).empty((N * PH * PW, w.shape[-1]), dtype=x.dtype)
        for k, (start, tap) in enumerate(zip(shifts, _each(taps), strict=True)):
            self.device.multiply(
                padded[start : start + rows], tap, products[:rows], add=k > 0, tf32=self.tf32
            )
        shape = (N, *out_size(x, w.shape, self.pads))
        return self._cropped(products, shape, size, (0, 0), b, shift, residual)

    def pullback(self, x: Array, w: Array, dy: Array) -> tuple[Array, Array]:
        """See :class:`~npdiff.kernels.cuda.conv.GpuConvAlgorithm`."""
        xp, size = namespace(x), self._padded_size(x)
        N, PH, PW = size
        shifts = _shifts(w, PW)
        lead, rows = shifts[-1], N * PH * PW
        top, left = self.pads[0][0], self.pads[1][0]
        padded = self._padded(x, size, (top, left))  # (rows, C)
        padded_dy = self._padded(dy, size, (0, 0), lead=lead)  # (lead + rows, F)
        padded_dx = xp.empty((rows, w.shape[-2]), dtype=x.dtype)
        dw = xp.empty(w.shape, dtype=w.dtype)
        for k, (shift, tap, dtap) in enumerate(zip(shifts, _each(w), _each(dw), strict=True)):
            self.device.multiply(
                padded_dy[lead - shift : lead - shift + rows], tap, padded_dx,
                transposed=(False, True), add=k > 0, tf32=self.tf32,
            )  # fmt: skip
            self.device.multiply(
                padded[shift : rows - lead + shift], padded_dy[lead:rows], dtap,
                transposed=(True, False), tf32=self.tf32,
            )  # fmt: skip
        return self._cropped(padded_dx, x.shape[:3], size, (top, left)), dw

    def _padded_size(self, x: Array) -> tuple[int, int, int]:
        """N, PH, PW: the number of images, and the size of a padded image."""
        (top, bottom), (left, right) = self.pads
        return x.shape[0], x.shape[1] + top + bottom, x.shape[2] + left + right

    def _padded(
        self,
        x: Array,
        size: tuple[int, int, int],
        origin: tuple[int, int],
        *,
        lead: int = 0,
        half: bool = False,
    ) -> Array:
        """``(lead + N * PH * PW, C)``: x with its first pixel at ``origin``, zero elsewhere."""
        N, PH, PW = size
        rows, C = lead + N * PH * PW, x.shape[-1]
        store = "float16" if half else x.dtype.name
        out = namespace(x).empty((rows, C), dtype=store)
        self.device.launch(
            Program("pad", x.dtype.name, store), "pad", grid(rows * C), THREADS,
            x, out, *x.shape, PH, PW, *origin, lead,
        )  # fmt: skip
        return out

    def _cropped(
        self,
        rows: Array,
        shape: tuple[int, ...],
        size: tuple[int, int, int],
        origin: tuple[int, int],
        *terms: Array | None,
    ) -> Array:
        """``(*shape, C)`` from ``origin`` of the padded layout, plus bias, shift and residual."""
        C = rows.shape[-1]
        y = namespace(rows).empty((*shape, C), dtype=rows.dtype)
        self.device.launch(
            Program("pad", rows.dtype.name), "crop", grid(y.size), THREADS,
            rows, *(terms or (None,) * 3), y, *y.shape, *size[1:], *origin,
        )  # fmt: skip
        return y


def out_size(x: Array, kernel: tuple[int, ...], pads: Pads) -> tuple[int, ...]:
    """The size of the output along each axis."""
    sizes = zip(x.shape[1:3], pads, kernel[:2], strict=True)
    return tuple(n + sum(p) - k + 1 for n, p, k in sizes)


def _shifts(w: Array, PW: int) -> list[int]:
    """The offset of each tap in the padded matrix, in rows."""
    return [i * PW + j for i in range(w.shape[0]) for j in range(w.shape[1])]


def _each(w: Array) -> list[Array]:
    """The matrices ``(C, F)`` of the taps, as views."""
    return [w[i, j] for i in range(w.shape[0]) for j in range(w.shape[1])]


def _halved(w: Array) -> Array:
    return namespace(w).clip(w, -LARGEST_HALF, LARGEST_HALF).astype("float16")
