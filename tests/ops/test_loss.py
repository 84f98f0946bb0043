"""Losses against SciPy, explicit sums and central differences."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from npdiff import ops
from npdiff.errors import InputError
from npdiff.verify import pullback

sizes = st.integers(1, 5)
seeds = st.integers(0, 2**32 - 1)


@given(st.lists(sizes, min_size=1, max_size=4), st.booleans(), seeds)
def test_squared_error_against_an_explicit_sum(shape, weighted, seed) -> None:
    rng = np.random.default_rng(seed)
    y, target = rng.standard_normal((2, *shape))
    weight = rng.uniform(0.5, 2.0, shape[0]) if weighted else None
    loss, _ = ops.squared_error(y, target=target, weight=weight)
    terms = [
        (1.0 if weight is None else weight[at[0]]) * (y[at] - target[at]) ** 2
        for at in np.ndindex(*shape)
    ]
    assert loss.shape == ()
    assert math.isclose(loss, math.fsum(terms) / len(terms), rel_tol=1e-12)
    pullback(ops.squared_error, y, target=target, weight=weight).check()


@given(sizes, st.integers(2, 6), seeds)
def test_cross_entropy_against_scipy(n, classes, seed) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = 3.0 * rng.standard_normal((n, classes)), rng.integers(classes, size=n)
    loss, _ = ops.cross_entropy(logits, labels=labels)
    expected = np.mean([logsumexp(z) - z[k] for z, k in zip(logits, labels, strict=True)])
    assert loss.shape == ()
    assert math.isclose(loss, expected, rel_tol=1e-12, abs_tol=1e-14)
    pullback(ops.cross_entropy, logits, labels=labels).check()


def test_cross_entropy_of_large_logits_does_not_overflow() -> None:
    logits, labels = np.array([[1e4, 0.0, -1e4]] * 2, dtype=np.float32), np.array([0, 2])
    loss, loss_pullback = ops.cross_entropy(logits, labels=labels)
    assert loss == 1e4
    np.testing.assert_array_equal(loss_pullback(1.0)[0], [[0.0, 0.0, 0.0], [0.5, 0.0, -0.5]])


def test_cross_entropy_of_equal_logits_is_log_k() -> None:
    loss, _ = ops.cross_entropy(np.zeros((3, 10)), labels=np.array([0, 4, 9]))
    assert math.isclose(loss, math.log(10))


def test_a_target_of_another_shape_is_rejected() -> None:
    with pytest.raises(InputError, match=r"shape of the output, \(2, 3\), got \(2, 1\)"):
        ops.squared_error(np.zeros((2, 3)), target=np.zeros((2, 1)))
