"""Resampling: pooling, nearest-neighbor upsampling, and moving space into channels."""

from collections.abc import Sequence

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.pullback import Cotangents, Traced, differentiable


def _cells(x: Array, factor: int, op: str) -> Array:
    """``(N, H, W, C)`` as ``(N, H / f, f, W / f, f, C)``; the even axes have size f."""
    space = x.shape[1:-1]
    if any(n % factor for n in space):
        raise InputError(f"{op}: a factor of {factor} does not divide the size {space}")
    split = [size for n in space for size in (n // factor, factor)]
    return x.reshape(x.shape[0], *split, x.shape[-1])


def _cell_axes(ndim: int) -> tuple[int, ...]:
    return tuple(range(2, 2 * (ndim - 2) + 1, 2))


@differentiable
def average_pool(x: Array, *, factor: int = 2) -> Traced:
    r"""Average pooling: the mean over each cell of f x ... x f positions.

    .. math::
        :label: average-pool

        y_{n, o, c} = f^{-d} \sum_{0 \le k < f} x_{n,\, f o + k,\, c}

    over the d spatial axes. Pullback: all positions of a cell receive the same.

    .. math::
        :label: average-pool-pullback

        \bar x_{n, i, c} = f^{-d}\, \bar y_{n,\, \lfloor i / f \rfloor,\, c}

    Saves: nothing.

    Parameters
    ----------
    x : ``(N, *space, C)``, every size a multiple of ``factor``
    factor : f

    Returns
    -------
    y : ``(N, *space / factor, C)``
    pullback : ``dy -> (dx,)``

    Raises
    ------
    InputError
        If the factor does not divide every size.
    """
    axes, per_position = _cell_axes(x.ndim), factor ** -(x.ndim - 2.0)

    def average_pool_pullback(dy: Array) -> Cotangents:
        return (_repeat(dy * per_position, factor),)

    return _cells(x, factor, "average_pool").mean(axis=axes), average_pool_pullback


def _repeat(x: Array, factor: int) -> Array:
    xp, axes = namespace(x), _cell_axes(x.ndim)
    space = x.shape[1:-1]
    split = [size for n in space for size in (n, factor)]
    y = xp.empty((x.shape[0], *split, x.shape[-1]), dtype=x.dtype)
    y[...] = xp.expand_dims(x, axes)
    return y.reshape(x.shape[0], *(n * factor for n in space), x.shape[-1])


@differentiable
def upsample(x: Array, *, factor: int = 2, size: Sequence[int] | None = None) -> Traced:
    r"""Nearest-neighbor upsampling: every position becomes a cell of f x ... x f copies.

    .. math::
        :label: upsample

        y_{n, o, c} = x_{n,\, \lfloor o / f \rfloor,\, c}

    Pullback: the sum over each cell, as far as ``size`` keeps it.

    .. math::
        :label: upsample-pullback

        \bar x_{n, i, c} = \sum_{0 \le k < f} \bar y_{n,\, f i + k,\, c}

    Saves: nothing.

    Parameters
    ----------
    x : ``(N, *space, C)``
    factor : f
    size : size to crop the result to, at its end, at most f times that of x, so that an image of
        odd size can be restored. None crops nothing.

    Returns
    -------
    y : ``(N, *size, C)``
    pullback : ``dy -> (dx,)``

    Raises
    ------
    InputError
        If ``size`` is larger than the upsampled image.
    """
    xp, shape, axes = namespace(x), x.shape, _cell_axes(x.ndim)
    full = tuple(n * factor for n in shape[1:-1])
    size = full if size is None else tuple(size)
    if len(size) != len(full) or any(n > most for n, most in zip(size, full, strict=True)):
        raise InputError(
            f"upsample: size must have {len(full)} entries of at most {full}, "
            f"{factor} times that of x, got {size}"
        )
    cut = (slice(None), *(slice(n) for n in size))

    def upsample_pullback(dy: Array) -> Cotangents:
        if size != full:
            whole = xp.zeros((shape[0], *full, shape[-1]), dtype=dy.dtype)
            whole[cut] = dy
            dy = whole
        return (_cells(dy, factor, "upsample").sum(axis=axes),)

    return _repeat(x, factor)[cut], upsample_pullback


def _to_depth(x: Array, factor: int) -> Array:
    cells, d = _cells(x, factor, "space_to_depth"), x.ndim - 2
    order = (0, *range(1, 2 * d + 1, 2), *range(2, 2 * d + 2, 2), 2 * d + 1)
    small = (n // factor for n in x.shape[1:-1])
    return cells.transpose(order).reshape(x.shape[0], *small, -1)


def _to_space(x: Array, factor: int) -> Array:
    d, space = x.ndim - 2, x.shape[1:-1]
    if x.shape[-1] % factor**d:
        raise InputError(
            f"depth_to_space: {x.shape[-1]} channels are not a multiple of {factor}^{d}"
        )
    cells = x.reshape(x.shape[0], *space, *(factor,) * d, -1)
    order = (0, *(axis for i in range(d) for axis in (1 + i, 1 + d + i)), 2 * d + 1)
    return cells.transpose(order).reshape(x.shape[0], *(n * factor for n in space), -1)


@differentiable
def space_to_depth(x: Array, *, factor: int = 2) -> Traced:
    r"""Space to depth (pixel unshuffle): the positions of each cell become channels.

    .. math::
        :label: space-to-depth

        y_{n, o, (k, c)} = x_{n,\, f o + k,\, c}

    This permutes elements, so its pullback is its inverse, :func:`depth_to_space`.

    Saves: nothing.

    Parameters
    ----------
    x : ``(N, *space, C)``, every size a multiple of ``factor``
    factor : f

    Returns
    -------
    y : ``(N, *space / f, f**d * C)``
    pullback : ``dy -> (dx,)``

    Raises
    ------
    InputError
        If the factor does not divide every size.
    """

    def space_to_depth_pullback(dy: Array) -> Cotangents:
        return (_to_space(dy, factor),)

    return _to_depth(x, factor), space_to_depth_pullback


@differentiable
def depth_to_space(x: Array, *, factor: int = 2) -> Traced:
    r"""Depth to space (pixel shuffle), the inverse of :func:`space_to_depth`.

    .. math::
        :label: depth-to-space

        y_{n,\, f o + k,\, c} = x_{n, o, (k, c)}

    Saves: nothing.

    Parameters
    ----------
    x : ``(N, *space, f**d * C)``
    factor : f

    Returns
    -------
    y : ``(N, *space * f, C)``
    pullback : ``dy -> (dx,)``

    Raises
    ------
    InputError
        If the number of channels is not a multiple of f^d.

    Notes
    -----
    Shi et al. 2016, section 3.2.
    """

    def depth_to_space_pullback(dy: Array) -> Cotangents:
        return (_to_depth(dy, factor),)

    return _to_space(x, factor), depth_to_space_pullback
