"""Convolution as one product of matrices for each tap, on shifted views of a padded grid."""

from dataclasses import dataclass

from npdiff.acceleration import prepacked
from npdiff.backend import Array, namespace
from npdiff.kernels.cuda.device import Device
from npdiff.kernels.cuda.program import THREADS, Program, grid

Pads = tuple[tuple[int, int], tuple[int, int]]

#: The largest number of half precision.
LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class Shifted:
    r"""One convolution, K x K taps at stride 1.

    Let the lines of all images lie one behind another, with their padding: rows of C numbers, PW
    rows a line. What is under tap (i, j) then lies i PW + j rows further on, for every output at
    once, and nothing is gathered: the products of shifted views with the taps are added up. Rows
    at the ends of lines and images, where no output is, are computed as well and left behind.

    The pullback is the transpose: the cotangent on the same grid, zero where no output is, behind
    as many zero rows as the farthest tap reaches back.

    Parameters
    ----------
    device : where the arrays are
    pads : zeros before and after the image, by axis
    half : whether the value is computed of factors rounded to half precision
    tf32 : whether the device may round factors to TF32
    """

    device: Device
    pads: Pads
    half: bool = False
    tf32: bool = False

    def value(
        self, x: Array, w: Array, b: Array | None, shift: Array | None, residual: Array | None
    ) -> Array:
        """See :class:`~npdiff.kernels.cuda.conv.Convolution`."""
        N, PH, PW = self._grid(x)
        steps = _steps(w, PW)
        rows = N * PH * PW - steps[-1]
        taps = prepacked(("cuda", "half"), w, _halved) if self.half else w
        padded = self._padded(x, self._grid(x), (self.pads[0][0], self.pads[1][0]), half=self.half)
        products = namespace(x).empty((N * PH * PW, w.shape[-1]), dtype=x.dtype)
        for k, (step, tap) in enumerate(zip(steps, _each(taps), strict=True)):
            self.device.multiply(
                padded[step : step + rows], tap, products[:rows], add=k > 0, tf32=self.tf32
            )
        shape = (N, *out_size(x, w.shape, self.pads))
        return self._cropped(products, shape, self._grid(x), (0, 0), b, shift, residual)

    def pullback(self, x: Array, w: Array, dy: Array) -> tuple[Array, Array]:
        """See :class:`~npdiff.kernels.cuda.conv.Convolution`."""
        xp, at = namespace(x), self._grid(x)
        N, PH, PW = at
        steps = _steps(w, PW)
        lead, every = steps[-1], N * PH * PW
        top, left = self.pads[0][0], self.pads[1][0]
        padded = self._padded(x, at, (top, left))
        spread = self._padded(dy, at, (0, 0), lead=lead)
        back = xp.empty((every, w.shape[-2]), dtype=x.dtype)
        dw = xp.empty(w.shape, dtype=w.dtype)
        for k, (step, tap, dtap) in enumerate(zip(steps, _each(w), _each(dw), strict=True)):
            self.device.multiply(
                spread[lead - step : lead - step + every], tap, back,
                transposed=(False, True), add=k > 0, tf32=self.tf32,
            )  # fmt: skip
            self.device.multiply(
                padded[step : every - lead + step], spread[lead:every], dtap,
                transposed=(True, False), tf32=self.tf32,
            )  # fmt: skip
        return self._cropped(back, x.shape[:3], at, (top, left)), dw

    def _grid(self, x: Array) -> tuple[int, int, int]:
        """Images, and the lines and the pixels of a line of the padded ones."""
        (top, bottom), (left, right) = self.pads
        return x.shape[0], x.shape[1] + top + bottom, x.shape[2] + left + right

    def _padded(
        self,
        x: Array,
        at: tuple[int, int, int],
        origin: tuple[int, int],
        *,
        lead: int = 0,
        half: bool = False,
    ) -> Array:
        N, PH, PW = at
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
        at: tuple[int, int, int],
        origin: tuple[int, int],
        *more: Array | None,
    ) -> Array:
        C = rows.shape[-1]
        y = namespace(rows).empty((*shape, C), dtype=rows.dtype)
        self.device.launch(
            Program("pad", rows.dtype.name), "crop", grid(y.size), THREADS,
            rows, *(more or (None,) * 3), y, *y.shape, *at[1:], *origin,
        )  # fmt: skip
        return y


def out_size(x: Array, kernel: tuple[int, ...], pads: Pads) -> tuple[int, ...]:
    """Positions of a kernel over an image, by axis."""
    sizes = zip(x.shape[1:3], pads, kernel[:2], strict=True)
    return tuple(n + sum(p) - k + 1 for n, p, k in sizes)


def _steps(w: Array, line: int) -> list[int]:
    """How many rows further on the pixel under each tap is."""
    return [i * line + j for i in range(w.shape[0]) for j in range(w.shape[1])]


def _each(w: Array) -> list[Array]:
    """The matrices (C, F) of the taps, as views."""
    return [w[i, j] for i in range(w.shape[0]) for j in range(w.shape[1])]


def _halved(w: Array) -> Array:
    return namespace(w).clip(w, -LARGEST_HALF, LARGEST_HALF).astype("float16")
