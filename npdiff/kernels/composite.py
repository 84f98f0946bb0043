"""Norm, activation and convolution, one block of samples at a time, while it is in the cache.

Half a residual block keeps only its input, and two scalars per sample and group.
"""

import numpy as np

from npdiff.acceleration import parallel_for, prepacked
from npdiff.backend import Array
from npdiff.kernels.conv import WorkItem, blocks, choose_algorithm, work_items
from npdiff.kernels.norm import affine_pullback, covers, silu_and_slope, silu_of, statistics, sums
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
    """:func:`npdiff.ops.norm_silu_conv`.

    Saves: ``x``, ``w``, ``gamma``, ``beta``, ``mean``, ``rstd``, ``one_plus``, ``gain``, ``lift``.
    """
    if (key is not None and rate > 0.0) or not covers(x, groups):
        return None
    algorithm = choose_algorithm(x, w, b, 1, padding)
    if algorithm is None or b is None:
        return None
    N, C, F = x.shape[0], x.shape[-1], w.shape[-1]

    def fits(a: Array | None, *shape: int) -> bool:
        return a is None or (a.shape == shape and a.dtype == x.dtype)

    layers = fits(gamma, C) and fits(beta, C) and fits(b, F)
    modulation = fits(scale, N, C) and fits(offset, N, C) and (scale is None) == (offset is None)
    if not (layers and modulation and fits(shift, N, F) and fits(residual, N, *algorithm.out, F)):
        return None
    x = np.ascontiguousarray(x)
    one_plus = 1.0 if scale is None else 1.0 + scale  # (N, C)
    gain, lift = np.empty((2, N, C), x.dtype)  # the norm's gamma and beta after modulation
    gain[...] = gamma * one_plus
    lift[...] = beta * one_plus
    if offset is not None:
        lift += offset
    bias = b if shift is None else b + shift  # (F,) or (N, F)
    y = np.empty((N, *algorithm.out, F), x.dtype)
    mean, rstd = (np.empty((N, groups), x.dtype) for _ in range(2))
    weights = prepacked((algorithm.name, "forward"), w, algorithm.forward_weights)
    items = work_items(algorithm, N)
    in_strips = items[0].algorithm is not algorithm
    if in_strips:  # a strip does not suffice for the statistics of its image
        mean[...], rstd[...] = statistics(x, groups, eps)

    def convolve(item: WorkItem) -> None:
        rows, target = item.samples, item.target
        if not in_strips:
            mean[rows], rstd[rows] = statistics(x[rows], groups, eps)
        h = silu_of(x[rows, item.source], mean[rows], rstd[rows], gain[rows], lift[rows])
        added = None if residual is None else residual[rows, target]
        block_bias = bias if shift is None else bias[rows]
        item.algorithm.forward(h, weights, y[rows, target], block_bias, added)

    parallel_for(convolve, items)
    modulated, shifted, added = scale is not None, shift is not None, residual is not None

    def norm_silu_conv_pullback(dy: Array) -> Cotangents:
        weights = prepacked((algorithm.name, "backward"), w, algorithm.backward_weights)
        dx, dU = np.empty_like(x), algorithm.gradient()
        dgain, dlift = np.empty((2, N, C), x.dtype)
        dbias = np.empty((N, F), x.dtype)
        for rows in blocks(N, algorithm.block):
            dy_rows = np.ascontiguousarray(dy[rows], x.dtype)
            of_norm = x[rows], mean[rows], rstd[rows], gain[rows]
            h, slope = silu_and_slope(*of_norm, lift[rows])  # slope: twice the derivative of SiLU
            dh = algorithm.backward(h, dy_rows, weights, dU)
            dh = np.multiply(slope, dh, out=slope)  # twice the cotangent of SiLU's argument
            dgain[rows], dlift[rows] = affine_pullback(*of_norm, dh, dx[rows], factor=0.5)
            dbias[rows] = sums(dy_rows)
        return (
            dx,
            (dgain * one_plus).sum(axis=0),
            (dlift * one_plus).sum(axis=0),
            algorithm.weight_gradient(dU),
            dbias.sum(axis=0),
            dgain * gamma + dlift * beta if modulated else None,
            dlift if modulated else None,
            dbias if shifted else None,
            dy if added else None,
        )

    return y, norm_silu_conv_pullback
