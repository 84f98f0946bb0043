"""The affine map of channels; adding an embedding to an image, and modulating by it."""

from npdiff.backend import Array
from npdiff.pullback import Cotangents, Traced, differentiable


@differentiable
def linear(x: Array, w: Array, b: Array | None = None) -> Traced:
    r"""An affine map of the last axis.

    .. math::
        :label: linear

        y = x\,w + b

    Pullback, with sums over all axes but the last:

    .. math::
        :label: linear-pullback

        \bar x = \bar y\,w^\top, \qquad \bar w = \sum x^\top \bar y, \qquad \bar b = \sum \bar y

    Saves: ``x``, ``w``.

    Parameters
    ----------
    x : ``(..., C)``
    w : ``(C, F)``
    b : ``(F,)``, or None for a linear map

    Returns
    -------
    y : ``(..., F)``
    pullback : ``dy -> (dx, dw, db)``; ``db`` is None where ``b`` is
    """
    has_bias = b is not None
    y = x @ w
    if has_bias:
        y += b

    def linear_pullback(dy: Array) -> Cotangents:
        rows = dy.reshape(-1, dy.shape[-1])
        dx = (rows @ w.T).reshape(x.shape)
        dw = x.reshape(-1, x.shape[-1]).T @ rows
        return dx, dw, rows.sum(axis=0) if has_bias else None

    return y, linear_pullback


def _over_space(e: Array, ndim: int) -> Array:
    """``(N, C)`` as ``(N, 1, ..., 1, C)``."""
    return e.reshape(e.shape[0], *(1,) * (ndim - 2), e.shape[1])


@differentiable
def shift(x: Array, e: Array) -> Traced:
    r"""Add an embedding at every position; and the pullback.

    .. math::
        :label: shift

        y_{n s c} = x_{n s c} + e_{n c}, \qquad
        \bar x = \bar y, \qquad \bar e_{n c} = \sum_s \bar y_{n s c}

    Saves: nothing.

    Parameters
    ----------
    x : ``(N, *space, C)``
    e : ``(N, C)``

    Returns
    -------
    y : ``(N, *space, C)``
    pullback : ``dy -> (dx, de)``
    """

    def shift_pullback(dy: Array) -> Cotangents:
        return dy, dy.reshape(dy.shape[0], -1, dy.shape[-1]).sum(axis=1)

    return x + _over_space(e, x.ndim), shift_pullback


@differentiable
def modulate(x: Array, scale: Array, offset: Array) -> Traced:
    r"""Scale and shift by an embedding: the second half of adaptive group normalization.

    .. math::
        :label: modulate

        y_{n s c} = x_{n s c}\,(1 + a_{n c}) + b_{n c}

    Pullback:

    .. math::
        :label: modulate-pullback

        \bar x_{n s c} = (1 + a_{n c})\,\bar y_{n s c}, \qquad
        \bar a_{n c} = \sum_s x_{n s c}\,\bar y_{n s c}, \qquad
        \bar b_{n c} = \sum_s \bar y_{n s c}

    Saves: ``x``, ``gain``.

    Parameters
    ----------
    x : ``(N, *space, C)``
    scale : ``(N, C)``, the a of the equation
    offset : ``(N, C)``, the b of the equation

    Returns
    -------
    y : ``(N, *space, C)``
    pullback : ``dy -> (dx, dscale, doffset)``

    Notes
    -----
    Dhariwal and Nichol 2021, section 3, AdaGN.
    """
    gain = _over_space(1.0 + scale, x.ndim)
    y = x * gain
    y += _over_space(offset, x.ndim)

    def modulate_pullback(dy: Array) -> Cotangents:
        n, c = dy.shape[0], dy.shape[-1]
        dscale = (x * dy).reshape(n, -1, c).sum(axis=1)
        return dy * gain, dscale, dy.reshape(n, -1, c).sum(axis=1)

    return y, modulate_pullback
