"""Attention a few samples at a time, on views of its arguments and in scratch of the cache's size.

The rows of a head lie a fixed distance apart and are contiguous themselves, which is all that a
matrix product asks for: q, k and v are read where they are, as cuts of one array too, and the
output and the cotangents are written where they belong. Only the right-hand side of q kᵀ is copied,
d x M numbers, since a product with a transposed one is half as fast for heads this narrow.
"""

import math

import numpy as np

from npdiff.backend import Array
from npdiff.kernels.workspace import workspace
from npdiff.pullback import Cotangents, Traced

#: Probabilities computed at a time.
PROBABILITIES = 2**18
#: Queries of a block at least, however many keys there are.
QUERIES = 64
#: Scores this close to the largest have an exponential that is far from underflow.
NEAR = 40.0


def attention(
    q: Array, k: Array, v: Array, *, heads: int, mask: Array | None = None
) -> Traced | None:
    """As :func:`npdiff.ops.attention`, or None where the arguments are not for this kernel.

    Saves: ``q``, ``k``, ``v``, ``mask``, ``normalizer``.
    """
    if not _covers(q, k, v, heads, mask):
        return None
    (N, L, E), M, dtype = q.shape, k.shape[1], q.dtype
    d = E // heads
    scale = 1.0 / math.sqrt(d)
    queries = min(L, max(QUERIES, PROBABILITIES // (heads * M)))
    samples = max(1, PROBABILITIES // (heads * L * M))
    blocks = [
        (slice(n, n + samples), slice(i, i + queries))
        for n in range(0, N, samples)
        for i in range(0, L, queries)
    ]

    def split(a: Array) -> Array:
        """``(B, L, E)`` seen as ``(B, heads, L, d)``."""
        return a.reshape(*a.shape[:2], heads, d).swapaxes(1, 2)

    def product(name: str, a: Array, b: Array, factor: float = 1.0) -> Array:
        """``factor * a bᵀ``, of rows of a with rows of b, in scratch."""
        a, b = split(a), split(b).swapaxes(2, 3)
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
    normalizer = np.empty((N, heads, L, 1), dtype)
    ones = np.ones((M, 1), dtype)
    for n, rows in blocks:
        p = scores(n, rows)
        shift = _shift(p)
        p -= shift
        np.exp(p, out=p)
        total = p @ ones
        total += total == 0.0
        own = split(o[n, rows])
        np.matmul(p, split(v[n]), out=own)
        own /= total
        np.log(total, out=total)
        np.add(shift, total, out=normalizer[n, :, rows])

    def attention_pullback(do: Array) -> Cotangents:
        dq, dk, dv = _cotangents(q, k)
        for n, rows in blocks:
            first = rows.start == 0
            p = scores(n, rows)
            p -= normalizer[n, :, rows]
            np.exp(p, out=p)
            _add_product(p.swapaxes(2, 3), split(do[n, rows]), split(dv[n]), first)
            ds = product("attention ds", do[n, rows], v[n])
            ds -= np.einsum("nhlm,nhlm->nhl", ds, p)[..., None]
            ds *= p
            ds *= scale
            np.matmul(ds, split(k[n]), out=split(dq[n, rows]))
            _add_product(ds.swapaxes(2, 3), split(q[n, rows]), split(dk[n]), first)
        return dq, dk, dv

    return o, attention_pullback


def _covers(q: Array, k: Array, v: Array, heads: int, mask: Array | None) -> bool:
    """Arrays of NumPy, of shapes that fit, with rows that a matrix product reads as they are."""
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
    """What to subtract from scores before the exponential; it cancels from the probabilities.

    The largest score of a row does for sure, but rows are short and a maximum of each is dear. The
    largest score of a head does as well unless another row's are so far below that they vanish.
    """
    flat = s.reshape(*s.shape[:2], -1)
    largest = flat.max(axis=-1)
    # A masked score is -inf, and any comparison with NaN false: both are taken row by row.
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
    """Room for dq, dk and dv, side by side as q, k and v are where one map makes all of them."""
    E = q.shape[2]
    if q.shape == k.shape:
        joined = np.empty((*q.shape[:2], 3 * E), q.dtype)
        return joined[..., :E], joined[..., E : 2 * E], joined[..., 2 * E :]
    joined = np.empty((*k.shape[:2], 2 * E), q.dtype)
    return np.empty(q.shape, q.dtype), joined[..., :E], joined[..., E:]
