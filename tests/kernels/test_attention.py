"""The attention kernel equals the definition, value and pullback, on views and in blocks."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.acceleration import definitions_only
from npdiff.kernels import workspace
from npdiff.kernels.attention import attention
from npdiff.verify import pullback

EPS = np.finfo(np.float32).eps


@st.composite
def attentions(draw):
    """q, k, v, do, heads and a mask or None; cuts of one array where there are as many keys."""
    n, length, keys, heads, d = draw(st.tuples(*[st.integers(1, 6)] * 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    E = heads * d
    if draw(st.booleans()):
        keys = length
        q, k, v = np.split(rng.standard_normal((n, length, 3 * E)), 3, axis=-1)
    else:
        q = rng.standard_normal((n, length, E))
        k, v = np.split(rng.standard_normal((n, keys, 2 * E)), 2, axis=-1)
    mask = rng.random((n, keys)) < 0.6 if draw(st.booleans()) else None
    # From equal scores to scores whose exponentials overflow.
    q = q * draw(st.sampled_from([0.0, 1.0, 30.0, 1000.0])) if draw(st.booleans()) else q
    return q, k, v, rng.standard_normal(q.shape), heads, mask


def both(f, q, k, v, do, heads, mask):
    """o, dq, dk, dv of the kernel or the definition, of read-only arrays."""
    for a in (q, k, v, do):
        a.flags.writeable = False
    o, attention_pullback = f(q, k, v, heads=heads, mask=mask)
    first, again = attention_pullback(do), attention_pullback(do)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(a, b)
    return o, *first


def defined(*case):
    with definitions_only():
        return both(ops.attention, *case)


@pytest.mark.parametrize(("most", "queries"), [(1, 1), (24, 2), (2**18, 64)])
@given(case=attentions())
def test_it_equals_the_definition(case, most, queries) -> None:
    """In float64 to 1e-12, in blocks of one query, of some queries or samples, of everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("npdiff.kernels.attention.PROBABILITIES", most)
        patch.setattr("npdiff.kernels.attention.MIN_QUERIES", queries)
        results = both(attention, *case)
    # The relative error of an exponential is the rounding error of its score, eps times its size.
    q, k = case[0], case[1]
    largest = np.abs(q).sum(axis=-1).max() * np.abs(k).max()
    for a, b in zip(results, defined(*case), strict=True):
        scale = max(1.0, np.abs(b).max())
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * scale * max(1.0, largest / 100))


@pytest.mark.parametrize(("L", "M"), [(64, 64), (49, 77), (256, 256), (1, 5)])
@pytest.mark.parametrize("masked", [False, True])
def test_single_precision_errors_are_a_few_roundings(normals, L, M, masked) -> None:
    """To some roundings of a sum of the norm that the result has.

    A probability is off by its score's error, of the d products and the exponential's argument: 8
    times eps where scores are below 8. A sum over the L or M or d of them adds sqrt(n) eps at most
    where its terms' errors are independent, and the pullback has three such steps in a row.
    """
    N, E, heads = 3, 128, 4
    q, k, v, do = normals((N, L, E), (N, M, E), (N, M, E), (N, L, E), dtype=np.float32)
    mask = np.random.default_rng(1).random((N, M)) < 0.7 if masked else None
    results = both(attention, q, k, v, do, heads, mask)
    exact = defined(*(a.astype(np.float64) for a in (q, k, v, do)), heads, mask)
    for a, b, steps in zip(results, exact, (1, 3, 3, 3), strict=True):
        assert a.dtype == np.float32
        bound = steps * (8 + np.sqrt(max(L, M, E // heads))) * EPS
        assert np.linalg.norm(a - b) <= bound * np.linalg.norm(b)


def test_the_pullback_equals_central_differences(normals) -> None:
    """In several blocks of samples and of queries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("npdiff.kernels.attention.PROBABILITIES", 20)
        patch.setattr("npdiff.kernels.attention.MIN_QUERIES", 2)
        pullback(attention, *normals((3, 5, 4), (3, 4, 4), (3, 4, 4)), heads=2).check()


def test_scores_of_very_different_size_in_one_head(normals) -> None:
    """One query's scores are 1e4 below another's, so both cannot be shifted by one maximum."""
    q, k, v, do = normals((2, 3, 4), (2, 5, 4), (2, 5, 4), (2, 3, 4), dtype=np.float32)
    q, k = q.copy(), np.abs(k)
    q[0, 0], q[0, 1] = -1e4, 1e4
    results = both(attention, q, k, v, do, 2, None)
    for a, b in zip(results, defined(q, k, v, do, 2, None), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())
    assert results[0].all()


def test_a_sample_does_not_depend_on_other_samples(normals) -> None:
    """Neither on one with enormous scores nor on the batch size."""
    q, k, v, do = (a.copy() for a in normals(*[(5, 16, 8)] * 4, dtype=np.float32))
    expected = both(attention, q[:1], k[:1], v[:1], do[:1], 2, None)
    q[1:] *= 1e6
    for a, b in zip(both(attention, q, k, v, do, 2, None), expected, strict=True):
        np.testing.assert_array_equal(a[:1], b)


def test_nan_stays_in_its_sample(normals) -> None:
    q, k, v = (a.copy() for a in normals(*[(3, 4, 4)] * 3))
    q[1, 2, 0] = np.nan
    o, _ = attention(q, k, v, heads=2)
    bad = np.isnan(o)
    assert bad[1, 2, :2].all()
    assert bad.sum() == 2


@pytest.mark.parametrize("limit", [0, 1000, 100_000])
@pytest.mark.parametrize("most", [100, 2**18])
def test_results_do_not_depend_on_the_limit_of_scratch(normals, monkeypatch, limit, most) -> None:
    """Scratch beyond the limit is allocated again, with bit-identical results."""
    monkeypatch.setattr("npdiff.kernels.attention.PROBABILITIES", most)
    monkeypatch.setattr("npdiff.kernels.attention.MIN_QUERIES", 4)
    case = *normals(*[(5, 12, 8)] * 4), 2, None
    expected = both(attention, *case)
    small = workspace.Workspace(limit)
    monkeypatch.setattr("npdiff.kernels.attention.workspace", lambda: small)
    for _ in range(2):
        for a, b in zip(both(attention, *case), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert small.kept <= limit


def test_two_threads_give_bit_identical_results(normals) -> None:
    """Compared with one thread."""
    cases = [(*normals(*[(8, 32, 16)] * 4, seed=seed), 4, None) for seed in range(8)]
    one_thread = [both(attention, *case) for case in cases]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda case: both(attention, *case), cases * 4))
    for results, expected in zip(together, one_thread * 4, strict=True):
        for a, b in zip(results, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_memory_does_not_grow_with_the_square_of_the_length(normals, monkeypatch) -> None:
    """It takes o, dq, dk and dv, the bounded scratch of a block, and some rows."""
    length = 3000
    case = *normals(*[(1, length, 8)] * 4, dtype=np.float32), 2, None
    both(attention, *case)
    fresh = workspace.Workspace(2**30)
    monkeypatch.setattr("npdiff.kernels.attention.workspace", lambda: fresh)
    tracemalloc.start()
    both(attention, *case)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 0.15 * 2 * length * length * 4


def test_cotangents_of_q_k_and_v_are_slices_of_one_array(normals) -> None:
    """So that the pullback of a split need not copy them."""
    q, k, v = np.split(normals((2, 6, 24)), 3, axis=-1)
    o, attention_pullback = attention(q, k, v, heads=2)
    parts = attention_pullback(o)
    whole = parts[0].base
    assert whole.shape == (2, 6, 24)
    np.testing.assert_array_equal(whole, np.concatenate(parts, axis=-1))


@pytest.mark.parametrize(
    ("q", "k", "v", "heads", "mask"),
    [
        ((2, 3, 4), (2, 5, 4), (2, 5, 4), 3, None),
        ((2, 3, 4), (2, 5, 6), (2, 5, 6), 2, None),
        ((2, 3, 4), (1, 5, 4), (1, 5, 4), 2, None),
        ((2, 3, 4), (2, 5, 4), (2, 6, 4), 2, None),
        ((2, 3, 4), (2, 0, 4), (2, 0, 4), 2, None),
        ((2, 3, 4), (2, 5, 4), (2, 5, 4), 2, (2, 3)),
        ((0, 3, 4), (0, 5, 4), (0, 5, 4), 2, None),
    ],
)
def test_shapes_that_the_kernel_does_not_cover(q, k, v, heads, mask) -> None:
    """Shapes that do not match or are empty: the definition raises an error if necessary."""
    mask = None if mask is None else np.ones(mask, dtype=bool)
    assert attention(np.zeros(q), np.zeros(k), np.zeros(v), heads=heads, mask=mask) is None


def test_arrays_that_the_kernel_does_not_cover(normals) -> None:
    """Rows that are not contiguous, mixed precision, integers."""
    q = normals((2, 6, 6))
    assert attention(q, q, q, heads=2) is not None
    others = (
        q.swapaxes(1, 2),
        np.broadcast_to(q[:, :1], q.shape),
        q.astype(np.float32),
        q.view(type("Other", (np.ndarray,), {})),
    )
    for other in others:
        assert attention(other, q, q, heads=2) is None
        assert attention(q, q, other, heads=2) is None
    whole = np.ones((2, 6, 6), int)
    assert attention(whole, whole, whole, heads=2) is None
