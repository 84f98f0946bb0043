"""Fused operations: common compositions of ops, each with one kernel."""

from npdiff.acceleration import accelerated
from npdiff.backend import Array
from npdiff.ops import _linear
from npdiff.ops._conv import Padding, conv
from npdiff.ops.elementwise import dropout, silu
from npdiff.ops.norm import group_norm
from npdiff.ops.resample import upsample
from npdiff.pullback import Cotangents, Traced, differentiable
from npdiff.random import Key


@differentiable
@accelerated
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
) -> Traced:
    r"""Half of a residual block: group norm, modulation, SiLU, dropout, convolution, additions.

    .. math::
        :label: norm-silu-conv

        y = \mathrm{conv}_{w, b}\,\mathrm{drop}\,\mathrm{silu}
            \big((1 + a) \odot \mathrm{norm}_{\gamma, \beta}(x) + c\big) + e + r

    of :eq:`group-norm`, :eq:`modulate`, :eq:`silu`, :eq:`dropout`, :eq:`conv` and :eq:`shift`; the
    modulation (a, c), the embedding e and the residual r are optional. The pullback calls the
    pullbacks of these functions in reverse order.

    Saves: what these functions save.

    Parameters
    ----------
    x : ``(N, *space, C)``
    gamma, beta : ``(C,)``
    w : ``(*K, C, F)``
    b : ``(F,)``
    scale, offset : ``(N, C)``, a and c in the equation, or both None
    shift : ``(N, F)``, e in the equation, or None
    residual : ``(N, *out, F)``, r in the equation, or None
    groups, eps : of the norm
    padding : of the convolution
    rate, key : of the dropout

    Returns
    -------
    y : ``(N, *out, F)``
    pullback : ``dy -> (dx, dgamma, dbeta, dw, db, dscale, doffset, dshift, dresidual)``; None for
        an argument that is None

    Raises
    ------
    InputError
        If the shapes do not fit.
    """
    modulated, shifted, added = scale is not None, shift is not None, residual is not None
    h, norm_pullback = group_norm(x, gamma, beta, groups=groups, eps=eps)
    if modulated:
        h, modulate_pullback = _linear.modulate(h, scale, offset)
    h, silu_pullback = silu(h)
    h, dropout_pullback = dropout(h, rate=rate, key=key)
    y, conv_pullback = conv(h, w, b, padding=padding)
    if shifted:
        y, shift_pullback = _linear.shift(y, shift)
    if added:
        y = y + residual

    def norm_silu_conv_pullback(dy: Array) -> Cotangents:
        dscale = doffset = dshift = None
        dh = dy
        if shifted:
            dh, dshift = shift_pullback(dh)
        dh, dw, db = conv_pullback(dh)
        (dh,) = dropout_pullback(dh)
        (dh,) = silu_pullback(dh)
        if modulated:
            dh, dscale, doffset = modulate_pullback(dh)
        dx, dgamma, dbeta = norm_pullback(dh)
        return dx, dgamma, dbeta, dw, db, dscale, doffset, dshift, dy if added else None

    return y, norm_silu_conv_pullback


@differentiable
@accelerated
def upsample_conv(
    x: Array, w: Array, b: Array, *, size: tuple[int, ...] | None = None, padding: Padding = None
) -> Traced:
    """Nearest-neighbor upsampling by 2 (:eq:`upsample`), then a convolution (:eq:`conv`).

    Saves: what these functions save.

    Parameters
    ----------
    x : ``(N, *space, C)``
    w : ``(*K, C, F)``
    b : ``(F,)``
    size : size to crop the upsampled image to, or None
    padding : of the convolution

    Returns
    -------
    y : ``(N, *size, F)``
    pullback : ``dy -> (dx, dw, db)``
    """
    h, upsample_pullback = upsample(x, size=size)
    y, conv_pullback = conv(h, w, b, padding=padding)

    def upsample_conv_pullback(dy: Array) -> Cotangents:
        dh, dw, db = conv_pullback(dy)
        return *upsample_pullback(dh), dw, db

    return y, upsample_conv_pullback
