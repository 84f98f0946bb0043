"""Activations and softmax against SciPy and central differences; properties of dropout."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from npdiff import ops
from npdiff.errors import InputError
from npdiff.random import Key
from npdiff.verify import pullback

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1)
GRID = np.linspace(-30.0, 30.0, 2001)


@given(shapes, seeds, st.sampled_from([0.1, 1.0]))
def test_pullbacks_against_central_differences(shape, seed, scale) -> None:
    x = scale * np.random.default_rng(seed).standard_normal(shape)
    pullback(ops.silu, x).check()
    pullback(ops.gelu, x).check()
    pullback(ops.gelu, x, approximate=True).check()
    vanish = ("0",) if shape[-1] == 1 else ()  # the softmax of one element is 1
    pullback(ops.softmax, x, may_vanish=vanish).check()


def test_silu_against_scipy() -> None:
    y, silu_pullback = ops.silu(GRID)
    np.testing.assert_allclose(y, GRID * special.expit(GRID), rtol=1e-12, atol=1e-14)
    sigmoid = special.expit(GRID)
    expected = sigmoid + GRID * sigmoid * (1.0 - sigmoid)
    np.testing.assert_allclose(silu_pullback(np.ones_like(GRID))[0], expected, atol=1e-14)


def test_gelu_against_scipy() -> None:
    y, gelu_pullback = ops.gelu(GRID)
    np.testing.assert_allclose(y, GRID * stats.norm.cdf(GRID), atol=1e-14)
    slope = stats.norm.cdf(GRID) + GRID * stats.norm.pdf(GRID)
    np.testing.assert_allclose(gelu_pullback(np.ones_like(GRID))[0], slope, atol=1e-14)


def test_the_two_forms_of_gelu_differ_by_up_to_5e_4() -> None:
    exact, approximate = ops.gelu(GRID)[0], ops.gelu(GRID, approximate=True)[0]
    assert 4e-4 < np.abs(exact - approximate).max() < 5e-4
    u = np.sqrt(2.0 / np.pi) * (GRID + 0.044715 * GRID**3)
    np.testing.assert_allclose(approximate, GRID * special.expit(2.0 * u), atol=1e-14)


@pytest.mark.parametrize("f", [ops.silu, ops.gelu, lambda x: ops.gelu(x, approximate=True)])
def test_activations_of_large_inputs_are_zero_or_the_identity(f) -> None:
    """Without overflow, warning or NaN."""
    x = np.array([-1e4, -200.0, 200.0, 1e4], dtype=np.float32)
    y, op_pullback = f(x)
    np.testing.assert_array_equal(y, np.maximum(x, 0.0))
    np.testing.assert_array_equal(op_pullback(np.ones_like(x))[0], [0.0, 0.0, 1.0, 1.0])


def test_softmax_against_scipy(normals) -> None:
    x = 10.0 * normals((3, 4, 5))
    p, _ = ops.softmax(x)
    np.testing.assert_allclose(p, special.softmax(x, axis=-1), rtol=1e-13)
    np.testing.assert_allclose(ops.softmax(x + 1e3)[0], p, rtol=1e-10)
    far, far_pullback = ops.softmax(np.array([1e4, 0.0, -1e4]))
    np.testing.assert_array_equal(far, [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(far_pullback(np.ones(3))[0], 0.0)


@given(shapes, seeds, st.sampled_from([0.1, 0.5]))
def test_the_pullback_of_dropout(shape, seed, rate) -> None:
    key = Key(seed, range(shape[0]), stream="dropout")
    x = np.random.default_rng(seed).standard_normal(shape)
    dropped = not ops.dropout(np.ones(shape), rate=rate, key=key)[0].any()
    vanish = ("0",) if dropped else ()
    pullback(ops.dropout, x, rate=rate, key=key, may_vanish=vanish).check()


def test_dropout_keeps_the_expected_fraction_and_scales_it_up() -> None:
    x = np.ones((40, 50, 50))
    y, dropout_pullback = ops.dropout(x, rate=0.3, key=Key(0, range(40)))
    np.testing.assert_array_equal(np.unique(y), [0.0, 1.0 / 0.7])
    kept = (y != 0.0).sum()
    # Five standard deviations of a binomial distribution with 100,000 trials.
    assert abs(kept - 0.7 * x.size) < 5.0 * np.sqrt(0.21 * x.size)
    np.testing.assert_array_equal(dropout_pullback(x)[0], y)


def test_dropout_of_a_sample_does_not_depend_on_its_neighbors() -> None:
    x = np.ones((4, 30))
    y, _ = ops.dropout(x, rate=0.5, key=Key(0, (5, 6, 7, 8)))
    alone, _ = ops.dropout(x[2:3], rate=0.5, key=Key(0, (7,)))
    np.testing.assert_array_equal(y[2:3], alone)
    assert (y[0] != y[1]).any()


def test_without_a_key_or_a_rate_dropout_is_the_identity(normals) -> None:
    x = normals((3, 4))
    for options in ({"rate": 0.5, "key": None}, {"rate": 0.0, "key": Key(0, range(3))}):
        y, dropout_pullback = ops.dropout(x, **options)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(dropout_pullback(x)[0], x)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_invalid_dropout_rates_are_rejected(rate) -> None:
    with pytest.raises(InputError, match=r"must be in \[0, 1\)"):
        ops.dropout(np.ones((1, 2)), rate=rate, key=None)


def test_a_key_with_another_number_of_samples_is_rejected() -> None:
    with pytest.raises(InputError, match="the key has 1 samples, but x has 2"):
        ops.dropout(np.ones((2, 3)), rate=0.5, key=Key(0, (0,)))
