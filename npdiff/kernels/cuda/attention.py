"""Attention on a GPU: two matrix products and a softmax in one launch."""

import math

from npdiff.backend import Array, namespace
from npdiff.kernels.cuda.device import are_compatible, device_of
from npdiff.kernels.cuda.rows import softmax
from npdiff.pullback import Cotangents, Traced

#: Largest number of scores in memory; beyond it the definition computes them in blocks.
MAX_SCORES = 2**27


def attention(
    q: Array, k: Array, v: Array, *, heads: int, mask: Array | None = None
) -> Traced | None:
    """See :func:`npdiff.ops.attention`. The pullback recomputes the probabilities."""
    if device_of(q) is None or mask is not None or q.ndim != 3 or k.ndim != 3:
        return None
    (N, L, E), M = q.shape, k.shape[1]
    if (
        not are_compatible(q, (k, (N, M, E)), (v, (N, M, E)))
        or E % heads
        or not 0 < N * heads * L * M <= MAX_SCORES
    ):
        return None
    xp, scale = namespace(q), 1.0 / math.sqrt(E // heads)

    def split(a: Array) -> Array:
        """``(N, L, E)`` as a view ``(N, heads, L, d)``."""
        return a.reshape(N, -1, heads, E // heads).swapaxes(1, 2)

    def joined(a: Array) -> Array:
        """``(N, heads, L, d)`` as a new array ``(N, L, E)``."""
        return xp.ascontiguousarray(a.swapaxes(1, 2)).reshape(N, -1, E)

    def probabilities() -> Traced:
        traced = softmax((split(q) * scale) @ split(k).swapaxes(2, 3))
        assert traced is not None  # softmax covers all arrays of a device
        return traced

    def attention_pullback(do: Array) -> Cotangents:
        p, softmax_pullback = probabilities()
        do_split = split(do)
        (ds,) = softmax_pullback(do_split @ split(v).swapaxes(2, 3))
        ds *= scale
        dk, dv = (a.swapaxes(2, 3) @ b for a, b in ((ds, split(q)), (p, do_split)))
        return joined(ds @ split(k)), joined(dk), joined(dv)

    return joined(probabilities()[0] @ split(v)), attention_pullback
