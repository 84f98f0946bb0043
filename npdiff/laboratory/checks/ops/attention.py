"""Checks of scaled dot-product attention."""

from typing import Any

import numpy as np

from npdiff import ops
from npdiff.laboratory.checks import _textbook as textbook
from npdiff.laboratory.complex_step import compare
from npdiff.laboratory.registry import Case, check, relative

MASKS: list[Any] = [None, [[1, 0, 1], [1, 1, 1]], [[0, 0, 0], [0, 1, 1]], None]


@check(
    "attention", "attention-mask", "attention-pullback",
    method="query by query, complex step", tolerance=1e-12,
)  # fmt: skip
def attention_by_loops(case: Case) -> dict[str, float]:
    """One query of one head at a time; masked keys, and a sample with all keys masked."""
    mask = case.choose(MASKS)
    visible = None if mask is None else np.array(mask, dtype=bool)
    heads = case.choose([2, 2, 1, 4])

    def op(q: Any, k: Any, v: Any) -> Any:
        given = None if visible is None else case.array(visible)
        return ops.attention(q, k, v, heads=heads, mask=given)

    def f(q: Any, k: Any, v: Any) -> Any:
        return textbook.attention(q, k, v, heads, visible)

    shapes = [(2, 2, 4), (2, 3, 4), (2, 3, 4)]
    value, slope = compare(case, op, f, *(1.5 * case.rng.standard_normal(s) for s in shapes))
    return {"attention": value, "attention-mask": value, "attention-pullback": slope}


@check(
    "attention",
    "attention-pullback",
    method="whole matrices, complex step",
    tolerance=1e-11,
    cases=2,
)
def attention_by_matrices(case: Case) -> dict[str, float]:
    """Enough queries and keys to need blocks; large scores; one direction per argument."""
    size, step = 30.0, 1e-30
    shapes = [(1, 420, 4), (1, 360, 4), (1, 360, 4)]
    args = [case.rng.standard_normal(s) for s in shapes]
    args[0] *= size  # exp of these scores would overflow without the shift

    def f(q: Any, k: Any, v: Any) -> Any:
        o = []
        for head in (slice(0, 2), slice(2, 4)):
            s = np.einsum("nie,nje->nij", q[..., head], k[..., head]) / np.sqrt(2.0)
            p = np.exp(s - s.real.max(axis=2, keepdims=True))
            o.append(np.einsum("nij,nje->nie", p / p.sum(axis=2, keepdims=True), v[..., head]))
        return np.concatenate(o, axis=2)

    o, pullback = ops.attention(*map(case.array, args), heads=2)
    do = case.rng.standard_normal(o.shape)
    off = []
    for i, d in enumerate(pullback(case.array(do))):
        u = case.rng.standard_normal(args[i].shape)
        moved = [a + 1j * step * u if i == j else a for j, a in enumerate(args)]
        slope = float(np.sum(do * f(*moved).imag)) / step
        found = float((d * case.array(u)).sum())
        off.append(abs(found - slope) / float((d * d).sum()) ** 0.5)
    return {"attention": relative(o, f(*args)), "attention-pullback": max(off)}
