r"""Nearest-neighbor upsampling and a 3x3 convolution, without the upsampled image.

A 3x3 window of the upsampled image covers 2x2 pixels of the small one: which taps fall on the same
pixel depends on whether the output's row, and its column, is even or odd.

.. math::
    :label: upsample-conv

    y_{2 i + a} = \sum_{k=0}^{1} x_{i + a - 1 + k}\, (P_a w)_k, \qquad
    P_0 = \begin{pmatrix} 1 & 0 & 0 \\ 0 & 1 & 1 \end{pmatrix}, \quad
    P_1 = \begin{pmatrix} 1 & 1 & 0 \\ 0 & 0 & 1 \end{pmatrix}

along each axis, a = 0, 1. Four convolutions of the small image with 2x2 kernels take 16 products
where the definition takes 36. By :eq:`winograd-nested` with F(4x4, 2x2) they take 6.25, instead of
9 with F(4x4, 3x3) on the upsampled image, and fewer transforms.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from itertools import product

import numpy as np

from npdiff.acceleration import prepacked
from npdiff.backend import Array
from npdiff.kernels import conv
from npdiff.kernels.norm import sums
from npdiff.kernels.winograd import Winograd
from npdiff.ops._conv import Padding, paddings
from npdiff.pullback import Cotangents, Traced

#: P_0 and P_1, (2, 2, 3).
FOLDS = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])


def upsample_conv(
    x: Array, w: Array, b: Array, *, size: tuple[int, ...] | None = None, padding: Padding = None
) -> Traced | None:
    """:func:`npdiff.ops.upsample_conv`.

    Saves: ``x``, ``w``, ``b``.
    """
    if w.ndim != 4 or w.shape[:2] != (3, 3) or paddings(padding, (3, 3)) != ((1, 1), (1, 1)):
        return None
    if b is None or not isinstance(conv.choose_algorithm(x, w, b, 1, padding), Winograd):
        return None
    (N, H, W, C), F = x.shape, w.shape[-1]
    if size is not None and tuple(size) != (2 * H, 2 * W):
        return None
    x = np.ascontiguousarray(x)
    algorithms = _algorithms_by_parity((H, W), C, F, x.dtype.str)
    batches = conv.blocks(N, algorithms[0, 0].block)
    y = np.empty((N, 2 * H, 2 * W, F), x.dtype)

    def weights(parity: tuple[int, int], direction: str) -> Array:
        """The folded kernel in the layout of one of the four convolutions."""
        convert = getattr(algorithms[parity], f"{direction}_weights")
        return prepacked(
            (algorithms[parity].name, parity, direction), w, partial(_folded, parity, convert)
        )

    for parity, algorithm in algorithms.items():
        U, y_parity = weights(parity, "forward"), _outputs(y, parity)
        for rows in batches:
            algorithm.forward(x[rows], U, y_parity[rows], b, None)

    def upsample_conv_pullback(dy: Array) -> Cotangents:
        dy = np.ascontiguousarray(dy, x.dtype)
        dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
        for parity, algorithm in algorithms.items():
            U, dU, dy_parity = (
                weights(parity, "backward"),
                algorithm.gradient(),
                _outputs(dy, parity),
            )
            for rows in batches:
                dx[rows] += algorithm.backward(x[rows], dy_parity[rows], U, dU)
            P, Q = (FOLDS[a].astype(w.dtype) for a in parity)
            dw += np.einsum("ku,lv,klcf->uvcf", P, Q, algorithm.weight_gradient(dU), optimize=True)
        for rows in batches:
            db += sums(dy[rows]).sum(axis=0)
        return dx, dw, db

    return y, upsample_conv_pullback


@lru_cache
def _algorithms_by_parity(
    space: tuple[int, int], C: int, F: int, dtype: str
) -> dict[tuple[int, int], Winograd]:
    """A convolution for each parity of the output's row and column."""
    pads = ((1, 0), (0, 1))
    return {
        (a, c): Winograd(space, 2, C, F, (pads[a], pads[c]), dtype)
        for a, c in product((0, 1), repeat=2)
    }


def _outputs(y: Array, parity: tuple[int, int]) -> Array:
    """The outputs of one parity of row and column, ``(N, H, W, F)``."""
    return y[:, parity[0] :: 2, parity[1] :: 2]


def _folded(parity: tuple[int, int], convert: Callable[[Array], Array], w: Array) -> Array:
    P, Q = (FOLDS[a].astype(w.dtype) for a in parity)
    folded = np.einsum("ku,lv,uvcf->klcf", P, Q, w, optimize=True)  # (2, 2, C, F)
    return convert(np.ascontiguousarray(folded))
