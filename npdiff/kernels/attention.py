"""Attention a few samples at a time, on views of its arguments and in scratch that fits the cache.

The rows of a head are contiguous and a fixed distance apart, which is all that a matrix product
needs: q, k and v are read in place, even as slices of one array, and the output and the cotangents
are written in place. Only the right-hand side of q kᵀ, d x M elements, is copied, since a product
with a transposed view is half as fast for heads this narrow.
"""

import math

import numpy as np

from npdiff.backend import Array
from npdiff.kernels.workspace import workspace
from npdiff.pullback import Cotangents, Traced
from npdiff.slices import split_range

#: Probabilities computed at a time.
PROBABILITIES = 2**18
#: Smallest number of queries in a block, however many keys there are.
MIN_QUERIES = 64
#: Difference to the largest score up to which an exponential is far from underflow: e^-40 = 4e-18.
NEAR = 40.0


def attention(
    q: Array, k: Array, v: Array, *, heads: int, mask: Array | None = None
) -> Traced | None:
    """:func:`npdiff.ops.attention`, or None if this kernel does not cover the arguments.

    Saves: ``q``, ``k``, ``v``, ``mask``, ``normalizer``.
    """
    if not _covers(q, k, v, heads, mask):
        return None
    (N, L, E), M, dtype = q.shape, k.shape[1], q.dtype
    d = E // heads
    scale = 1.0 / math.sqrt(d)
    queries = min(L, max(MIN_QUERIES, PROBABILITIES // (heads * M)))
    samples = max(1, PROBABILITIES // (heads * L * M))
    blocks = [(n, rows) for n in split_range(N, samples) for rows in split_range(L, queries)]

    def by_head(a: Array) -> Array:
        """``(B, L, E)`` as a view ``(B, heads, L, d)``."""
        return a.reshape(*a.shape[:2], heads, d).swapaxes(1, 2)

    def product(name: str, a: Array, b: Array, factor: float = 1.0) -> Array:
        """``factor * a bᵀ`` for each head, ``(B, heads, L, M)``, in scratch."""
        a, b = by_head(a), by_head(b).swapaxes(2, 3)  # (B, heads, L, d), (B, heads, d, M)
        right = workspace().scratch("attention right", b.shape, dtype)
        np.multiply(b, factor, out=right)
        s = workspace().scratch(name, (*a.shape[:3], b.shape[3]), dtype)
        return np.matmul(a, right, out=s)

    def scores(n: slice, rows: slice) -> Array:
        s = product("attention p", q[n, rows], k[n], scale)
        if mask is not None:
            np.copyto(s, -math.inf, where=~mask[n, None, None, :])
        return s

    o = np.empty((N, L, E), dtype)
    normalizer = np.empty((N, heads, L, 1), dtype)  # log of the sum of exponentials
    ones = np.ones((M, 1), dtype)
    for n, rows in blocks:
        p = scores(n, rows)
        shift = _shift(p)
        p -= shift
        np.exp(p, out=p)
        total = p @ ones  # (B, heads, L, 1)
        total += total == 0.0  # all keys are masked: avoid 0 / 0
        block = by_head(o[n, rows])
        np.matmul(p, by_head(v[n]), out=block)
        block /= total
        np.log(total, out=total)
        np.add(shift, total, out=normalizer[n, :, rows])

    def attention_pullback(do: Array) -> Cotangents:
        dq, dk, dv = _cotangents(q, k)
        for n, rows in blocks:
            first = rows.start == 0
            p = scores(n, rows)
            p -= normalizer[n, :, rows]
            np.exp(p, out=p)
            _add_product(p.swapaxes(2, 3), by_head(do[n, rows]), by_head(dv[n]), first)
            ds = product("attention ds", do[n, rows], v[n])
            ds -= np.einsum("nhlm,nhlm->nhl", ds, p)[..., None]
            ds *= p
            ds *= scale
            np.matmul(ds, by_head(k[n]), out=by_head(dq[n, rows]))
            _add_product(ds.swapaxes(2, 3), by_head(q[n, rows]), by_head(dk[n]), first)
        return dq, dk, dv

    return o, attention_pullback


def _covers(q: Array, k: Array, v: Array, heads: int, mask: Array | None) -> bool:
    """Whether these are NumPy arrays of fitting shapes whose rows a matrix product can read."""
    if not all(type(a) is np.ndarray and a.ndim == 3 and a.size for a in (q, k, v)):
        return False
    (N, _, E), M = q.shape, k.shape[1]
    if heads < 1 or E % heads or k.shape != (N, M, E) or v.shape != k.shape:
        return False
    if mask is not None and (type(mask) is not np.ndarray or mask.shape != (N, M)):
        return False
    if q.dtype not in (np.float32, np.float64) or not q.dtype == k.dtype == v.dtype:
        return False
    return all(a.strides[2] == a.itemsize and a.strides[1] >= E * a.itemsize for a in (q, k, v))


def _shift(s: Array) -> Array:
    """Values to subtract from scores before the exponential; they cancel in the probabilities.

    The largest score of each row is always safe, but rows are short and their maxima expensive.
    The largest score of a head is safe unless it is so far above others that they underflow.
    """
    flat = s.reshape(*s.shape[:2], -1)
    largest = flat.max(axis=-1)
    # With -inf (a masked score) or NaN the comparison is false: these heads are done row by row.
    with np.errstate(invalid="ignore"):
        near = largest - flat.min(axis=-1) <= NEAR
    if near.all():
        return largest[..., None, None]
    shift = np.empty((*s.shape[:3], 1), s.dtype)
    shift[...] = largest[..., None, None]
    shift[~near] = s[~near].max(axis=-1, keepdims=True)
    # Finite even where every key is masked.
    return np.maximum(shift, np.finfo(s.dtype).min, out=shift)


def _add_product(a: Array, b: Array, out: Array, first: bool) -> None:
    """``out = a b`` the first time, ``out += a b`` later."""
    if first:
        np.matmul(a, b, out=out)
    else:
        part = workspace().scratch("attention part", out.shape, out.dtype)
        out += np.matmul(a, b, out=part)


def _cotangents(q: Array, k: Array) -> tuple[Array, Array, Array]:
    """Arrays for dq, dk and dv: slices of one array, as q, k and v are if one layer makes all."""
    E = q.shape[2]
    if q.shape == k.shape:
        joined = np.empty((*q.shape[:2], 3 * E), q.dtype)
        return joined[..., :E], joined[..., E : 2 * E], joined[..., 2 * E :]
    joined = np.empty((*k.shape[:2], 2 * E), q.dtype)
    return np.empty(q.shape, q.dtype), joined[..., :E], joined[..., E:]
