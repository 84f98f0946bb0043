"""Half a residual block on a GPU: norm, modulation and SiLU, convolution, and residual sum."""

from npdiff.backend import Array
from npdiff.kernels.cuda.conv import choose_algorithm
from npdiff.kernels.cuda.device import are_compatible, contiguous
from npdiff.kernels.cuda.norm import fused_norm
from npdiff.kernels.cuda.shifted import out_size
from npdiff.ops._conv import Padding
from npdiff.pullback import Cotangents, Traced
from npdiff.random import Key


def norm_silu_conv(
    x: Array,
    gamma: Array,
    beta: Array,
    w: Array,
    b: Array,
    scale: Array | None = None,
    offset: Array | None = None,
    shift: Array | None = None,
    residual: Array | None = None,
    *,
    groups: int,
    eps: float = 1e-5,
    padding: Padding = None,
    rate: float = 0.0,
    key: Key | None = None,
) -> Traced | None:
    """See :func:`npdiff.ops.norm_silu_conv`. The pullback recomputes the activations."""
    if key is not None and rate > 0.0:
        return None
    norm = fused_norm(x, gamma, beta, scale, offset, groups=groups, eps=eps, silu=True)
    convolution = choose_algorithm(x, w, 1, padding)
    if norm is None or convolution is None:
        return None
    N, F = x.shape[0], w.shape[-1]
    out = (N, *out_size(x, w.shape, convolution.pads), F)
    if not are_compatible(x, (b, (F,)), (shift, (N, F)), (residual, out)):
        return None
    w, b = contiguous(w), contiguous(b)
    modulated, shifted, added = scale is not None, shift is not None, residual is not None
    shift, residual = (None if a is None else contiguous(a) for a in (shift, residual))
    h, statistics = norm.value()
    y = convolution.value(h, w, b, shift, residual)

    def norm_silu_conv_pullback(dy: Array) -> Cotangents:
        dy = contiguous(dy)
        dh, dw = convolution.pullback(norm.recompute(statistics), w, dy)
        dx, dgamma, dbeta, dscale, doffset = norm.pullback(dh, statistics)
        dbias = dy.reshape(dy.shape[0], -1, dy.shape[-1]).sum(axis=1)
        return (
            *(dx, dgamma, dbeta, dw, dbias.sum(axis=0)),
            *((dscale, doffset) if modulated else (None, None)),
            dbias if shifted else None,
            dy if added else None,
        )

    return y, norm_silu_conv_pullback
