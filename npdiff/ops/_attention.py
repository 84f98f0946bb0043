"""Scaled dot-product attention in blocks of queries, so that no L x M matrix is stored."""

import math

from npdiff.acceleration import accelerated
from npdiff.backend import Array, blocks, namespace
from npdiff.errors import InputError
from npdiff.pullback import Cotangents, Traced, differentiable


@differentiable
@accelerated
def attention(q: Array, k: Array, v: Array, *, heads: int, mask: Array | None = None) -> Traced:
    r"""Multi-head scaled dot-product attention, for self-attention and cross-attention.

    .. math::
        :label: attention

        o = \mathrm{softmax}\!\left(\frac{q\,k^\top}{\sqrt d}\right) v

    for each sample and head, with d = E / heads. A mask m excludes keys:

    .. math::
        :label: attention-mask

        o_i = \frac{\sum_j m_j\,e^{s_{ij}}\,v_j}{\sum_j m_j\,e^{s_{ij}}}, \qquad
        s_{ij} = \frac{q_i \cdot k_j}{\sqrt d}, \qquad
        o_i = 0 \;\text{ where all } m_j = 0

    Queries are processed in blocks. Of the probabilities P only the logarithm of each row's
    normalizer is saved; the pullback recomputes P from it:

    .. math::
        :label: attention-pullback

        \bar v = P^\top \bar o, \quad \bar P = \bar o\,v^\top, \quad
        \bar S = P \odot (\bar P - \mathrm{rowsum}(\bar P \odot P)), \quad
        \bar q = \frac{\bar S\,k}{\sqrt d}, \quad \bar k = \frac{\bar S^\top q}{\sqrt d}

    Saves: ``q``, ``k``, ``v``, ``mask``, ``normalizer``.

    Parameters
    ----------
    q : ``(N, L, E)``
    k, v : ``(N, M, E)``
    heads : number of heads, a divisor of E
    mask : ``(N, M)`` booleans, False where a key is ignored, or None. The output is 0 in samples
        where all keys are ignored.

    Returns
    -------
    o : ``(N, L, E)``
    pullback : ``do -> (dq, dk, dv)``

    Raises
    ------
    InputError
        If the shapes do not fit.

    Notes
    -----
    Vaswani et al. 2017, section 3.2. Recomputing the probabilities from the normalizer:
    Dao et al. 2022, section 3.1.
    """
    xp = namespace(q)
    (N, L, E), M = q.shape, k.shape[1]
    if E % heads or k.shape != (N, M, E) or v.shape != k.shape or M < 1:
        raise InputError(
            "attention: expected q (N, L, E), k and v (N, M, E) with M >= 1, and heads that divide "
            f"E; got q {q.shape}, k {k.shape}, v {v.shape} and {heads} heads"
        )
    if mask is not None and mask.shape != (N, M):
        raise InputError(f"attention: the mask must have shape ({N}, {M}), got {mask.shape}")
    scale = 1.0 / math.sqrt(E // heads)
    queries = blocks(L, N * heads * M, xp)

    def split(a: Array) -> Array:
        """``(N, L, E)`` as ``(N, heads, L, d)``, a view."""
        return a.reshape(N, -1, heads, E // heads).swapaxes(1, 2)

    def scores(rows: slice) -> Array:
        """Of one block of l queries with all keys, ``(N, heads, l, M)``."""
        s = split(q[:, rows]) @ split(k).swapaxes(2, 3)
        s *= scale
        return s if mask is None else xp.where(mask[:, None, None, :], s, -math.inf)

    o = xp.empty_like(q)
    normalizer = xp.empty((N, heads, L, 1), dtype=q.dtype)  # log sum exp over the keys
    for rows in queries:
        s = scores(rows)
        # (N, heads, l, 1); finite even where every key is masked, so that s - largest is not nan
        largest = xp.maximum(s.max(axis=-1, keepdims=True), xp.finfo(q.dtype).min)
        s -= largest
        p = xp.exp(s, out=s)
        total = p.sum(axis=-1, keepdims=True)
        total += total == 0.0  # 1 where every key is masked: p stays 0
        p /= total
        split(o[:, rows])[...] = p @ split(v)  # (N, heads, l, d)
        normalizer[:, :, rows] = largest + xp.log(total)

    def attention_pullback(do: Array) -> Cotangents:
        dq, dk, dv = xp.empty_like(q), xp.zeros_like(k), xp.zeros_like(v)
        for rows in queries:
            p = scores(rows)
            p -= normalizer[:, :, rows]
            xp.exp(p, out=p)  # (N, heads, l, M)
            do_rows = split(do[:, rows])  # (N, heads, l, d)
            split(dv)[...] += p.swapaxes(2, 3) @ do_rows
            ds = do_rows @ split(v).swapaxes(2, 3)
            ds -= xp.einsum("nhlm,nhlm->nhl", ds, p)[..., None]
            ds *= p
            ds *= scale
            split(dq[:, rows])[...] = ds @ split(k)
            split(dk)[...] += ds.swapaxes(2, 3) @ split(q[:, rows])
        return dq, dk, dv

    return o, attention_pullback
