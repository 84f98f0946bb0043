"""Convolution of images on a GPU: the algorithms' interface, and the choice between them."""

from typing import Protocol

from npdiff.backend import Array
from npdiff.kernels.cuda.device import are_compatible, contiguous, device_of
from npdiff.kernels.cuda.settings import settings
from npdiff.kernels.cuda.shifted import Pads, ShiftedProducts, out_size
from npdiff.kernels.cuda.winograd import Winograd
from npdiff.ops._conv import Padding
from npdiff.pullback import Cotangents, Traced

#: Smallest number of channels for which one matrix product per tap is efficient.
MIN_CHANNELS = 16

#: Outputs of a Winograd tile along an axis.
OUTPUTS = 4


class GpuConvAlgorithm(Protocol):
    """A convolution of C-contiguous ``(N, H, W, C)`` with ``(K, K, C, F)`` at stride 1."""

    @property
    def pads(self) -> Pads:
        """Numbers of zeros (before, after) along each axis."""
        ...

    def value(
        self, x: Array, w: Array, b: Array | None, shift: Array | None, residual: Array | None
    ) -> Array:
        """The convolution, plus ``b`` (F,), ``shift`` (N, F), ``residual`` (N, H, W, F)."""
        ...

    def pullback(self, x: Array, w: Array, dy: Array) -> tuple[Array, Array]:
        """The cotangents of x and of w."""
        ...


def choose_algorithm(x: Array, w: Array, stride: int, padding: Padding) -> GpuConvAlgorithm | None:
    """The algorithm for these arrays, or None where the definition is as good.

    Winograd's transforms add rounding errors and save multiplications, which TF32 and half
    precision compute quickly anyway, so they are for true float32 (and float64). The limits are
    estimates: no GPU was available to measure them.
    """
    device = device_of(x, w)
    if device is None or x.ndim != 4 or w.ndim != 4 or stride != 1 or w.shape[2] != x.shape[3]:
        return None
    kernel, (C, F), chosen = w.shape[:2], w.shape[2:], settings()
    pads = _pads(padding, kernel)
    if (
        min(*out_size(x, kernel, pads), x.size, w.size) < 1
        or min(sum(pads, ())) < 0
        or kernel == (1, 1)
    ):
        return None
    exact = chosen.precision == "float32" or x.dtype.name == "float64"
    winograd = kernel == (3, 3) and max(sum(pads, ())) <= 2
    if chosen.convolution == "winograd" or (
        chosen.convolution == "auto" and exact and min(C, F) >= MIN_CHANNELS
    ):
        if winograd:
            return Winograd(device, pads, OUTPUTS)
        if chosen.convolution == "winograd":
            return None
    if chosen.convolution == "shifted" or (chosen.convolution == "auto" and C >= MIN_CHANNELS):
        half = chosen.precision == "float16" and not exact
        return ShiftedProducts(device, pads, half, chosen.precision == "tf32")
    return None


def _pads(padding: Padding, kernel: tuple[int, ...]) -> Pads:
    if padding is None:
        (a, b), (c, d) = (((k - 1) // 2, k // 2) for k in kernel)
    elif isinstance(padding, int):
        a = b = c = d = padding
    else:
        (a, b), (c, d) = padding
    return (a, b), (c, d)


def conv(
    x: Array, w: Array, b: Array | None = None, *, stride: int = 1, padding: Padding = None
) -> Traced | None:
    """See :func:`npdiff.ops.conv`."""
    convolution = choose_algorithm(x, w, stride, padding)
    if convolution is None or not are_compatible(x, (b, w.shape[-1:])):
        return None
    has_bias = b is not None
    x, w, b = contiguous(x), contiguous(w), b if b is None else contiguous(b)
    y = convolution.value(x, w, b, None, None)

    def conv_pullback(dy: Array) -> Cotangents:
        dx, dw = convolution.pullback(x, w, contiguous(dy))
        return dx, dw, dy.reshape(-1, dy.shape[-1]).sum(axis=0) if has_bias else None

    return y, conv_pullback
