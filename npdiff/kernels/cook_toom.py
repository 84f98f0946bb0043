r"""Winograd's minimal convolutions, derived from interpolation points in exact arithmetic.

F(m, r) computes m outputs of a correlation with r taps by m + r - 1 products, where the definition
takes m r. It is the Cook-Toom multiplication of polynomials (evaluate at points, multiply,
interpolate), transposed. Nested, it covers any number of axes. Toom 1963; Cook 1966; Winograd 1980;
for convolutional networks Lavin and Gray 2016, section 4.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from npdiff.backend import Array
from npdiff.errors import InputError
from npdiff.pullback import Cotangents, Traced

Rows = tuple[tuple[Fraction, ...], ...]

#: The finite points in the order in which they are used: each next to its negative inverse, since 2
#: and -1/2 cause less rounding error than the customary 2 and -2.
POINTS = tuple(map(Fraction, ("0", "1", "-1", "2", "-1/2", "-2", "1/2", "4", "-1/4", "-4", "1/4")))


@dataclass(frozen=True)
class Matrices:
    """The three matrices of F(m, r), with n = m + r - 1 products, as rows of exact fractions.

    Attributes
    ----------
    m, r : outputs and taps
    points : the n - 1 finite points; the n-th is infinity
    AT : (m, n), transforms products to outputs, integers
    G : (n, r), transforms the taps, fractions
    BT : (n, n), transforms the inputs, integers
    """

    m: int
    r: int
    points: tuple[Fraction, ...]
    AT: Rows
    G: Rows
    BT: Rows

    @property
    def n(self) -> int:
        """The number of products, and of inputs, of a tile."""
        return self.m + self.r - 1

    @property
    def one(self) -> int:
        """The index of the point 1: a value added to this product is added to every output.

        Its column of ``AT`` is all ones. With several axes it is the product at (one, one, ...).
        """
        return self.points.index(Fraction(1))

    def arrays(self, dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``AT``, ``G`` and ``BT`` as fresh arrays; exact with ``dtype=object``."""
        AT, G, BT = (np.array(rows, dtype=object) for rows in (self.AT, self.G, self.BT))
        return AT.astype(dtype), G.astype(dtype), BT.astype(dtype)


@cache
def matrices(m: int, r: int, points: tuple[Fraction | int, ...] | None = None) -> Matrices:
    r"""The matrices of F(m, r): m outputs of r taps g on n = m + r - 1 inputs d, by n products.

    .. math::
        :label: winograd-1d

        y_k = \sum_{j=0}^{r-1} d_{k+j}\, g_j \quad (0 \le k < m), \qquad
        y = A^\top \left[ (G g) \odot (B^\top d) \right]

    Point i is the ratio a_i : b_i, infinity is 1 : 0. At it a polynomial of k coefficients has the
    value of the homogeneous :math:`\sum_j c_j a_i^j b_i^{k-1-j}`, at infinity its last
    coefficient. With :math:`N_i(z)`, the product of :math:`b_j z - a_j` over all finite points but
    the i-th,

    .. math::
        :label: cook-toom

        A^\top_{k i} = a_i^k\, b_i^{m-1-k}, \qquad
        G_{i j} = \frac{a_i^j\, b_i^{r-1-j}}{N_i(a_i : b_i)}, \qquad
        \sum_k B^\top_{i k}\, z^k = N_i(z)

    which is Lagrange's interpolation of a product of polynomials of r and m coefficients:
    evaluate both, multiply, and add up the :math:`N_i`, each divided by its value at point i. This
    is linear in the second factor; its transpose is the correlation.

    The matrices are unique up to scale: row i of G, row i of :math:`B^\top` and column i of
    :math:`A^\top` may be multiplied by three factors whose product is 1. Here A and B have the
    smallest possible integers, and G the denominators; the leading coefficients in
    :math:`B^\top` are positive. For the point 1 the column of :math:`A^\top` is all ones.

    Parameters
    ----------
    m, r : outputs and taps, at least 2
    points : m + r - 2 different rationals, 1 among them; by default the first of :data:`POINTS`

    Raises
    ------
    InputError
        If m or r is less than 2, or the points are not as described.

    Examples
    --------
    >>> AT, G, BT = matrices(2, 3).arrays()
    >>> print(AT.astype(int))
    [[ 1  1  1  0]
     [ 0  1 -1  1]]
    >>> print(BT.astype(int))
    [[-1  0  1  0]
     [ 0  1  1  0]
     [ 0 -1  1  0]
     [ 0 -1  0  1]]
    >>> print(G)
    [[-1.   0.   0. ]
     [ 0.5  0.5  0.5]
     [ 0.5 -0.5  0.5]
     [ 0.   0.   1. ]]
    """
    if m < 2 or r < 2:
        raise InputError(f"F(m, r) needs at least 2 outputs and 2 taps, got F({m}, {r})")
    finite = tuple(Fraction(p) for p in (POINTS[: m + r - 2] if points is None else points))
    if len(finite) != m + r - 2 or len(set(finite)) != len(finite) or 1 not in finite:
        raise InputError(
            f"F({m}, {r}) needs {m + r - 2} different finite points, 1 among them, got "
            f"{', '.join(map(str, finite)) or 'none'}: pass points=(0, 1, ...)"
        )
    ratios = [p.as_integer_ratio() for p in finite] + [(1, 0)]
    factors = [(-a, b) for a, b in ratios[:-1]] + [(1, 0)]  # b z - a; at infinity the constant 1
    AT, G, BT = [], [], []
    for i, (a, b) in enumerate(ratios):
        others = [factor for j, factor in enumerate(factors) if j != i]
        at_own = math.prod(low * b + high * a for low, high in others)
        AT.append(_powers(a, b, m))
        G.append(tuple(power / at_own for power in _powers(a, b, r)))
        BT.append(_coefficients(others, m + r - 1))
    return Matrices(m, r, finite, tuple(zip(*AT, strict=True)), tuple(G), tuple(BT))


def _powers(a: int, b: int, count: int) -> tuple[Fraction, ...]:
    return tuple(Fraction(a**j * b ** (count - 1 - j)) for j in range(count))


def _coefficients(factors: Sequence[tuple[int, int]], count: int) -> tuple[Fraction, ...]:
    """The coefficients of the product of linear factors ``(low, high)``, the constant first."""
    product = [1]
    for low, high in factors:
        product = [low * c + high * d for c, d in zip([*product, 0], [0, *product], strict=True)]
    return tuple(Fraction(c) for c in product[:count])


def along_axes(matrix: Array, x: Array, axes: Sequence[int]) -> Array:
    """The matrix applied along some axes of x: along two, ``matrix @ x @ matrix.T``."""
    for axis in axes:
        x = np.moveaxis(np.tensordot(matrix, x, axes=(1, axis)), 0, axis)
    return x


def tiles(d: Array, g: Array, F: Matrices) -> Traced:
    r"""The correlation of T tiles with the taps g in q axes, from C channels to F.

    .. math::
        :label: winograd-nested

        y_t = (A^\top)^{\otimes q} M_t, \qquad
        M_{t, p, f} = \sum_c V_{t, p, c}\, U_{p, c, f}, \qquad
        V_t = (B^\top)^{\otimes q} d_t, \quad U = G^{\otimes q} g

    where :math:`\otimes q` applies a matrix along each of the q axes (for q = 2 it is
    :math:`U = G g G^\top`) and p runs over all :math:`n^q` products: for each of them the sum
    over the channels is a matrix product of all tiles at once.

    Every step is linear or bilinear, and the pullback is the transpose of each. The transformed
    cotangent of the outputs, :math:`\bar M`, is used in both products:

    .. math::
        :label: winograd-adjoint

        \bar M_t = A^{\otimes q}\, \bar y_t, \qquad
        \bar d_t = B^{\otimes q} \Big( \sum_f \bar M_{t, p, f}\, U_{p, c, f} \Big), \qquad
        \bar g = (G^\top)^{\otimes q} \Big( \sum_t V_{t, p, c}\, \bar M_{t, p, f} \Big)

    This is the mathematics of the kernel on tiles that are already cut; the kernel cuts them out
    of images, where they overlap, and saves less. Saves: ``d``, ``g``.

    Parameters
    ----------
    d : ``(T, *n, C)``
    g : ``(*r, C, F)``
    F : from :func:`matrices`; arrays of Python's fractions give exact results

    Returns
    -------
    y : ``(T, *m, F)``
    pullback : ``dy -> (dd, dg)``
    """
    AT, G, BT = F.arrays(d.dtype)
    q = g.ndim - 2
    of_tiles, of_taps = range(1, q + 1), range(q)

    def products() -> tuple[Array, Array]:
        V = along_axes(BT, d, of_tiles).reshape(len(d), -1, d.shape[-1]).swapaxes(0, 1)
        return V, along_axes(G, g, of_taps).reshape(-1, *g.shape[q:])  # (p, T, C), (p, C, F)

    def tiles_pullback(dy: Array) -> Cotangents:
        V, U = products()
        dM = along_axes(AT.T, dy, of_tiles).reshape(len(d), -1, g.shape[-1]).swapaxes(0, 1)
        dV = np.matmul(dM, U.swapaxes(1, 2)).swapaxes(0, 1).reshape(d.shape)
        dU = np.matmul(V.swapaxes(1, 2), dM).reshape(*(F.n,) * q, *g.shape[q:])
        return along_axes(BT.T, dV, of_tiles), along_axes(G.T, dU, of_taps)

    M = np.matmul(*products()).swapaxes(0, 1).reshape(len(d), *(F.n,) * q, g.shape[-1])
    return along_axes(AT, M, of_tiles), tiles_pullback
