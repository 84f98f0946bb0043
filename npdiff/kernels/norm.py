"""Group normalization and SiLU of blocks of samples, in passes over scratch that stays in cache.

A block is viewed as rows ``(B, H, W * C)``. Values per sample and channel, ``(B, C)``, are
repeated to the length of a row, so that every pass is one call over long contiguous runs.
"""

from functools import lru_cache

import numpy as np

from npdiff.backend import Array, blocks
from npdiff.kernels.workspace import workspace
from npdiff.pullback import Cotangents, Traced

#: Squared mean over variance above which the mean is subtracted first: up to it the variance loses
#: at most about 3 bits to cancellation.
LARGE_MEAN = 8.0


@lru_cache
def _ones(count: int, dtype: str) -> Array:
    ones = np.ones((1, count), dtype)
    ones.flags.writeable = False
    return ones


def wide_rows(x: Array) -> Array:
    """``(B, H, W, C)`` as ``(B, H, W * C)``, the same memory."""
    return x.reshape(x.shape[0], x.shape[1], -1)


def sums(x: Array) -> Array:
    """The sum over space, ``(B, C)``: a matrix product with ones."""
    rows = x.reshape(x.shape[0], -1, x.shape[-1])  # (B, H * W, C)
    return np.matmul(_ones(rows.shape[1], x.dtype.str), rows)[:, 0]


def products(x: Array, y: Array) -> Array:
    """The sum over space of x y, ``(B, C)``."""
    row = np.einsum("bhk,bhk->bk", wide_rows(x), wide_rows(y))  # (B, W * C)
    return np.add.reduce(row.reshape(x.shape[0], -1, x.shape[-1]), axis=1)


def _wide_row(name: str, a: Array, x: Array) -> Array:
    """``a`` of ``(B, C)`` repeated along a row of ``x``: ``(B, 1, W * C)``."""
    B, C = a.shape
    shape = B, x.size // (B * x.shape[1] * C), C  # (B, W, C)

    def both() -> tuple[Array, Array]:
        row = workspace().scratch(name, shape, x.dtype)
        return row, row.reshape(B, 1, -1)

    row, flat = workspace().views((name, shape, x.dtype), both)
    row[...] = a[:, None]
    return flat


def _by_channel(a: Array, channels: int) -> Array:
    """Repeat values of groups, ``(B, G)``, for their channels: ``(B, C)``."""
    return a.repeat(channels // a.shape[1], axis=1)


def _by_group(a: Array, groups: int, x: Array) -> Array:
    """Means ``(B, G)`` over groups from sums ``(B, C)`` over space."""
    total = np.add.reduce(a.reshape(a.shape[0], groups, -1), axis=2)
    return total * (groups * x.shape[0] / x.size)


def statistics(x: Array, groups: int, eps: float) -> tuple[Array, Array]:
    """The mean and the inverse standard deviation of each sample and group, ``(B, G)``.

    The mean of squares minus the square of the mean loses digits if the mean is large; then the
    differences to the mean are squared, as in the definition.
    """
    mean = _by_group(sums(x), groups, x)
    square = mean * mean
    variance = _by_group(products(x, x), groups, x) - square
    if np.count_nonzero(square > LARGE_MEAN * variance):
        difference = _minus_mean(x, mean)
        rest = _by_group(sums(difference), groups, x)  # the rounding error of the mean
        variance = _by_group(products(difference, difference), groups, x) - rest * rest
        mean = mean + rest
    return mean, 1.0 / np.sqrt(variance + eps)


def _minus_mean(x: Array, mean: Array) -> Array:
    difference = workspace().scratch("norm.centered", x.shape, x.dtype)
    row = _wide_row("norm.a", _by_channel(mean, x.shape[-1]), x)
    np.subtract(wide_rows(x), row, out=wide_rows(difference))
    return difference


def _centered(x: Array, mean: Array, rstd: Array) -> tuple[Array, Array]:
    """x and its mean; or, if the mean is large, the difference of both and a mean of zero."""
    ratio = mean * rstd
    if np.count_nonzero(ratio * ratio > LARGE_MEAN):
        return _minus_mean(x, mean), np.zeros_like(mean)
    return x, mean


def affine(
    x: Array, mean: Array, rstd: Array, gain: Array, offset: Array, out: Array, factor: float = 1.0
) -> None:
    """Write ``factor * (gain * x_hat + offset)`` to ``out``; gain and offset are ``(B, C)``."""
    x, mean = _centered(x, mean, rstd)
    C = x.shape[-1]
    a = _by_channel(rstd, C) * gain
    b = offset - _by_channel(mean, C) * a
    np.multiply(wide_rows(x), _wide_row("norm.a", factor * a, x), out=wide_rows(out))
    np.add(wide_rows(out), _wide_row("norm.b", factor * b, x), out=wide_rows(out))


def silu_of(x: Array, mean: Array, rstd: Array, gain: Array, offset: Array) -> Array:
    """:eq:`silu` of the normalized block after gain and offset, in scratch."""
    v, gate = _gate(x, mean, rstd, gain, offset)
    return np.multiply(v, gate, out=v)


def silu_and_slope(
    x: Array, mean: Array, rstd: Array, gain: Array, offset: Array
) -> tuple[Array, Array]:
    """The value of :func:`silu_of`, and twice the derivative of SiLU there, in scratch.

    With v half of the argument, s = 1 + tanh v and h = v s the value, that is s + h (2 - s).
    """
    v, gate = _gate(x, mean, rstd, gain, offset)
    value = np.multiply(v, gate, out=v)
    slope = workspace().scratch("norm.slope", x.shape, x.dtype)
    np.subtract(2.0, gate, out=slope)
    np.multiply(slope, value, out=slope)
    np.add(slope, gate, out=slope)
    return value, slope


def _gate(x: Array, mean: Array, rstd: Array, gain: Array, offset: Array) -> tuple[Array, Array]:
    """v, half of the normalized block after gain and offset, and 1 + tanh v."""

    def both() -> tuple[Array, Array]:
        scratch = workspace().scratch
        return scratch("norm.v", x.shape, x.dtype), scratch("norm.gate", x.shape, x.dtype)

    v, gate = workspace().views(("norm.gate", x.shape, x.dtype), both)
    affine(x, mean, rstd, gain, offset, v, factor=0.5)
    np.tanh(v, out=gate)
    return v, np.add(gate, 1.0, out=gate)


def affine_pullback(
    x: Array,
    mean: Array,
    rstd: Array,
    gain: Array,
    dy: Array,
    out: Array,
    factor: float = 1.0,
) -> tuple[Array, Array]:
    """The cotangents of gain and offset, ``(B, C)``; that of x is written to ``out``.

    ``dy`` is the cotangent of the output of :func:`affine` divided by ``factor``.
    """
    x, mean = _centered(x, mean, rstd)
    C, groups = x.shape[-1], mean.shape[1]
    r, mu = _by_channel(rstd, C), _by_channel(mean, C)
    doffset = factor * sums(dy)
    dgain = r * (factor * products(x, dy) - mu * doffset)
    along = r * r * _by_channel(_by_group(dgain * gain, groups, x), C)
    mean_dy = _by_channel(_by_group(doffset * gain, groups, x), C)
    part = workspace().scratch("norm.part", x.shape, x.dtype)
    np.multiply(wide_rows(x), _wide_row("norm.a", -along, x), out=wide_rows(part))
    np.multiply(wide_rows(dy), _wide_row("norm.b", factor * r * gain, x), out=wide_rows(out))
    np.add(wide_rows(out), wide_rows(part), out=wide_rows(out))
    np.add(wide_rows(out), _wide_row("norm.a", mu * along - r * mean_dy, x), out=wide_rows(out))
    return dgain, doffset


def group_norm(
    x: Array, gamma: Array, beta: Array, *, groups: int, eps: float = 1e-5
) -> Traced | None:
    """:func:`npdiff.ops.group_norm`."""
    if not covers(x, groups) or gamma.dtype != x.dtype or beta.dtype != x.dtype:
        return None
    x = np.ascontiguousarray(x)
    N, C = x.shape[0], x.shape[-1]
    batches = blocks(N, x[0].size, np)  # samples that fit the cache together
    mean, rstd = (np.empty((N, groups), x.dtype) for _ in range(2))
    y = np.empty_like(x)
    for rows in batches:
        mean[rows], rstd[rows] = statistics(x[rows], groups, eps)
        affine(x[rows], mean[rows], rstd[rows], gamma, beta, y[rows])

    def group_norm_pullback(dy: Array) -> Cotangents:
        dx = np.empty_like(x)
        dgamma, dbeta = np.zeros((2, C), x.dtype)
        for rows in batches:
            dy_rows = np.ascontiguousarray(dy[rows])
            dgain, doffset = affine_pullback(
                x[rows], mean[rows], rstd[rows], gamma, dy_rows, dx[rows]
            )
            dgamma += dgain.sum(axis=0)
            dbeta += doffset.sum(axis=0)
        return dx, dgamma, dbeta

    return y, group_norm_pullback


def covers(x: Array, groups: int) -> bool:
    """Whether the functions of this module cover ``x``: on the host, with space, not empty."""
    return (
        type(x) is np.ndarray
        and x.dtype in (np.float32, np.float64)
        and x.ndim >= 3
        and x.size > 0
        and x.shape[-1] % groups == 0
    )
