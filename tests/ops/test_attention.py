"""Attention: an explicit softmax, central differences, masks, and memory linear in length."""

import math
import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.acceleration import definitions_only
from npdiff.backend import blocks
from npdiff.errors import InputError
from npdiff.verify import pullback

pytestmark = pytest.mark.usefixtures("implementation")


@st.composite
def attentions(draw):
    """q, k, v, heads, and a mask or None; samples in which all keys are masked occur often."""
    n, length, keys, heads, d = draw(st.tuples(*[st.integers(1, 4)] * 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    q = rng.standard_normal((n, length, heads * d))
    k, v = rng.standard_normal((2, n, keys, heads * d))
    mask = None
    if draw(st.booleans()):
        mask = np.array(draw(st.lists(st.booleans(), min_size=n * keys, max_size=n * keys)))
        mask = mask.reshape(n, keys)
        mask[0, 0] = True
    return q, k, v, heads, mask


def by_loops(q, k, v, heads, mask):
    """The definition, one query and one head at a time."""
    o, d = np.zeros_like(q), q.shape[-1] // heads
    for n, i, h in product(range(q.shape[0]), range(q.shape[1]), range(heads)):
        own = slice(h * d, (h + 1) * d)
        seen = [j for j in range(k.shape[1]) if mask is None or mask[n, j]]
        weights = [math.exp(q[n, i, own] @ k[n, j, own] / math.sqrt(d)) for j in seen]
        for j, weight in zip(seen, weights, strict=True):
            o[n, i, own] += weight / sum(weights) * v[n, j, own]
    return o


@given(attentions())
def test_the_pullback_against_central_differences(case) -> None:
    q, k, v, heads, mask = case
    most = k.shape[1] if mask is None else mask.sum(axis=1).max()
    # With a single key the probability is 1, whatever q and k are.
    vanish = ("0", "1") if most == 1 else ()
    report = pullback(ops.attention, q, k, v, heads=heads, mask=mask, may_vanish=vanish).check()
    assert all(row.norm < 1e-12 for row in report.gradients if row.name in vanish)


@given(attentions())
def test_the_value_against_explicit_loops(case) -> None:
    q, k, v, heads, mask = case
    o, _ = ops.attention(q, k, v, heads=heads, mask=mask)
    np.testing.assert_allclose(o, by_loops(q, k, v, heads, mask), rtol=1e-11, atol=1e-13)


def test_blocks_of_queries_do_not_change_the_result(normals) -> None:
    """Value and pullback of a long sequence equal those of its parts."""
    q, k, v, do = normals((2, 500, 4), (2, 400, 4), (2, 400, 4), (2, 500, 4))
    assert len(blocks(500, 2 * 2 * 400, np)) > 2
    o, attention_pullback = ops.attention(q, k, v, heads=2)
    dq, dk, dv = attention_pullback(do)
    split = [ops.attention(q[:, i : i + 50], k, v, heads=2) for i in range(0, 500, 50)]
    np.testing.assert_allclose(o, np.concatenate([y for y, _ in split], axis=1), rtol=1e-12)
    parts = [op_pullback(do[:, 50 * i : 50 * i + 50]) for i, (_, op_pullback) in enumerate(split)]
    np.testing.assert_allclose(dq, np.concatenate([p[0] for p in parts], axis=1), atol=1e-13)
    np.testing.assert_allclose(dk, sum(p[1] for p in parts), atol=1e-12)
    np.testing.assert_allclose(dv, sum(p[2] for p in parts), atol=1e-12)


def test_output_and_gradients_are_zero_where_all_keys_are_masked(normals) -> None:
    q, k, v, do = normals((2, 3, 4), (2, 5, 4), (2, 5, 4), (2, 3, 4), dtype=np.float32)
    mask = np.array([[True] * 5, [False] * 5])
    o, attention_pullback = ops.attention(q, k, v, heads=2, mask=mask)
    for a in (o, *attention_pullback(do)):
        assert np.isfinite(a).all()
        assert (a[1] == 0.0).all()
        assert (a[0] != 0.0).all()


def test_a_masked_key_has_no_effect_and_no_gradient(normals) -> None:
    """The values at a masked position change no bit, and their gradient is 0."""
    q, k, v, do = normals((2, 3, 4), (2, 5, 4), (2, 5, 4), (2, 3, 4))
    mask = np.array([[True, True, False, True, False]] * 2)
    junk_k, junk_v = k.copy(), v.copy()
    junk_k[:, [2, 4]], junk_v[:, [2, 4]] = 1e150, -1e150
    o, attention_pullback = ops.attention(q, k, v, heads=2, mask=mask)
    same, same_pullback = ops.attention(q, junk_k, junk_v, heads=2, mask=mask)
    np.testing.assert_array_equal(o, same)
    for a, b in zip(attention_pullback(do), same_pullback(do), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not same_pullback(do)[1][:, [2, 4]].any()
    assert not same_pullback(do)[2][:, [2, 4]].any()
    short, _ = ops.attention(q, k[:, [0, 1, 3]], v[:, [0, 1, 3]], heads=2)
    np.testing.assert_allclose(o, short, rtol=1e-12)


def test_large_scores_do_not_overflow(normals) -> None:
    q, k, v = normals((1, 2, 4), (1, 3, 4), (1, 3, 4), dtype=np.float32)
    o, attention_pullback = ops.attention(1e4 * q, k, v, heads=1)
    best = (q[0] @ k[0].T).argmax(axis=-1)
    np.testing.assert_allclose(o[0], v[0][best], rtol=1e-6)
    assert all(np.isfinite(a).all() for a in attention_pullback(o))


def test_a_constant_added_to_all_keys_changes_nothing(normals) -> None:
    """Softmax is shift-invariant, so the gradient of the key bias is zero."""
    q, k, v, c = normals((2, 3, 4), (2, 5, 4), (2, 5, 4), (4,))
    o, attention_pullback = ops.attention(q, k, v, heads=2)
    shifted, _ = ops.attention(q, k + c, v, heads=2)
    np.testing.assert_allclose(shifted, o, rtol=1e-12)
    dk = attention_pullback(q)[1]
    np.testing.assert_allclose(dk.sum(axis=1), 0.0, atol=1e-14)
    assert np.abs(dk).max() > 0.01


def test_memory_grows_linearly_with_the_length(normals) -> None:
    """The peak grows by less than 1.5 when L doubles; an L x L matrix would grow by 4."""

    def peak(length: int) -> int:
        q, k, v, do = normals(*[(1, length, 8)] * 4, dtype=np.float32)
        tracemalloc.start()
        with definitions_only():
            _, attention_pullback = ops.attention(q, k, v, heads=2)
        attention_pullback(do)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    short, long = peak(1000), peak(2000)
    assert long < 1.5 * short
    assert long < 0.25 * 2 * 2000 * 2000 * 4


@pytest.mark.parametrize(
    ("q", "k", "v", "heads", "mask"),
    [
        ((2, 3, 4), (2, 5, 4), (2, 5, 4), 3, None),
        ((2, 3, 4), (2, 5, 6), (2, 5, 6), 2, None),
        ((2, 3, 4), (1, 5, 4), (1, 5, 4), 2, None),
        ((2, 3, 4), (2, 5, 4), (2, 6, 4), 2, None),
        ((2, 3, 4), (2, 0, 4), (2, 0, 4), 2, None),
        ((2, 3, 4), (2, 5, 4), (2, 5, 4), 2, (2, 3)),
        ((2, 3, 4), (2, 5, 4), (2, 5, 4), 2, (1, 5)),
    ],
)
def test_wrong_shapes_are_rejected(q, k, v, heads, mask) -> None:
    mask = None if mask is None else np.ones(mask, dtype=bool)
    with pytest.raises(InputError, match="attention: "):
        ops.attention(np.zeros(q), np.zeros(k), np.zeros(v), heads=heads, mask=mask)
