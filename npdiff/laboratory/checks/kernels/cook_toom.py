"""Checks of the Cook-Toom algorithms (Winograd convolution), in exact fractions."""

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from npdiff.kernels import cook_toom
from npdiff.laboratory.registry import Case, check

SIZES = [(2, 3), (4, 3), (6, 3), (4, 2), (2, 2), (3, 5), (8, 3), (2, 7)]


NESTED = [(1, 4, 3), (2, 2, 3), (2, 4, 2), (3, 2, 2)]


def _matrices(case: Case, m: int, r: int) -> cook_toom.Matrices:
    """Matrices of the standard points, and in every other round of other points."""
    if case.index // len(SIZES) % 2 == 0:
        return cook_toom.matrices(m, r)
    other = sorted({Fraction(a, b) for a in range(-5, 6) for b in (1, 2, 3)} - {Fraction(1)})
    drawn = case.rng.choice(len(other), m + r - 3, replace=False)
    return cook_toom.matrices(m, r, (*(other[i] for i in drawn), Fraction(1)))


def _fractions(case: Case, *shape: int) -> Any:
    """An array of small random fractions."""
    values = [Fraction(int(a), 7) for a in case.rng.integers(-20, 21, int(np.prod(shape)))]
    return np.array(values, dtype=object).reshape(shape)


def _apart(found: Any, expected: Any) -> float:
    if np.shape(found) != np.shape(expected):
        raise ValueError(f"found shape {np.shape(found)}, expected {np.shape(expected)}")
    return float(np.max(np.abs(np.asarray(found) - np.asarray(expected))))


@check(
    "winograd-1d",
    method="all pairs of basis vectors, in fractions",
    tolerance=0.0,
    cases=2 * len(SIZES),
)
def bilinear_identity(case: Case) -> float:
    """Input l and tap j contribute to output l - j with factor 1, and to no other output."""
    m, r = case.choose(SIZES)
    found = _matrices(case, m, r)
    worst: Any = Fraction(0)
    for k, j, i in product(range(m), range(r), range(found.n)):
        terms = zip(found.AT[k], found.G, found.BT, strict=True)
        value = sum(a * g[j] * b[i] for a, g, b in terms)
        worst = max(worst, abs(value - (i == k + j)))
    return float(worst)


@check(
    "cook-toom",
    method="zeros and leading coefficients of polynomials",
    tolerance=0.0,
    cases=2 * len(SIZES),
)
def polynomials_by_their_zeros(case: Case) -> float:
    """Polynomials from zeros and leading coefficient; rows of powers from their ratio.

    At infinity only the highest power remains.
    """
    m, r = case.choose(SIZES)
    found = _matrices(case, m, r)
    AT, G, BT = found.arrays(object)
    denominators = [point.denominator for point in found.points]
    wrong = []
    for i, row in enumerate(BT):
        zeros = [point for j, point in enumerate(found.points) if j != i]
        leading = int(np.prod([point.denominator for point in zeros], dtype=object))
        degree = len(zeros)
        wrong += [sum(c * zero**k for k, c in enumerate(row)) for zero in zeros]
        wrong += [row[degree] - leading, *row[degree + 1 :]]
    for i, (point, b) in enumerate(zip(found.points, denominators, strict=True)):
        own = sum(c * point**k for k, c in enumerate(BT[i])) * Fraction(b) ** (found.n - 1)
        wrong += [AT[0, i] - b ** (m - 1), G[i, 0] * own - b ** (r - 1)]
        wrong += [AT[k + 1, i] - point * AT[k, i] for k in range(m - 1)]
        wrong += [G[i, j + 1] - point * G[i, j] for j in range(r - 1)]
    wrong += [*AT[:-1, -1], AT[-1, -1] - 1, *G[-1, :-1]]
    wrong += [G[-1, -1] * int(np.prod(denominators, dtype=object)) - 1]
    return float(max(abs(value) for value in wrong))


@check("winograd-nested", method="the sums written out, in fractions", tolerance=0.0, cases=4)
def correlation_of_tiles(case: Case) -> float:
    """Each output of each tile is the sum over taps and channels of input times weight."""
    d, g, F, q = _tiles(case)
    y, _ = cook_toom.tiles(d, g, F)
    expected = np.full(y.shape, Fraction(0))
    for t, k, j in product(range(len(d)), np.ndindex(*(F.m,) * q), np.ndindex(*(F.r,) * q)):
        at = tuple(a + b for a, b in zip(k, j, strict=True))
        for c, f in np.ndindex(*g.shape[q:]):
            expected[(t, *k, f)] += d[(t, *at, c)] * g[(*j, c, f)]
    return _apart(y, expected)


@check("winograd-adjoint", method="the sums transposed, in fractions", tolerance=0.0, cases=4)
def adjoint_of_tiles(case: Case) -> float:
    """An output contributes its cotangent times the other factor to each input and each tap."""
    d, g, F, q = _tiles(case)
    _, pullback = cook_toom.tiles(d, g, F)
    dy = _fractions(case, len(d), *(F.m,) * q, g.shape[-1])
    dd, dg = np.full(d.shape, Fraction(0)), np.full(g.shape, Fraction(0))
    for t, k, j in product(range(len(d)), np.ndindex(*(F.m,) * q), np.ndindex(*(F.r,) * q)):
        at = tuple(a + b for a, b in zip(k, j, strict=True))
        for c, f in np.ndindex(*g.shape[q:]):
            dd[(t, *at, c)] += dy[(t, *k, f)] * g[(*j, c, f)]
            dg[(*j, c, f)] += dy[(t, *k, f)] * d[(t, *at, c)]
    found = pullback(dy)
    return max(_apart(found[0], dd), _apart(found[1], dg))


def _tiles(case: Case) -> tuple[Any, Any, cook_toom.Matrices, int]:
    """Two tiles and taps in several axes, from two channels to three."""
    q, m, r = case.choose(NESTED)
    F = cook_toom.matrices(m, r)
    return _fractions(case, 2, *(F.n,) * q, 2), _fractions(case, *(r,) * q, 2, 3), F, q
