"""Group and layer normalization against explicit loops and central differences."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.errors import InputError
from npdiff.verify import pullback

pytestmark = pytest.mark.usefixtures("implementation")


@st.composite
def group_norms(draw):
    """x of 0 to 3 spatial axes, gamma, beta, and groups of at least four elements.

    Any two elements normalize to +1 and -1, so their gradient vanishes.
    """
    dims = draw(st.integers(0, 3))
    n, *space = draw(st.tuples(*[st.integers(1, 4)] * (1 + dims)))
    groups, per_group = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    per_group *= 1 if np.prod(space) >= 4 else 4
    eps = draw(st.sampled_from([1e-5, 1e-6, 0.1]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    c = groups * per_group
    x = draw(st.sampled_from([0.0, 5.0])) + rng.standard_normal((n, *space, c))
    gamma, beta = rng.standard_normal((2, c))
    return x, gamma, beta, groups, eps


@given(group_norms())
def test_the_pullback_of_group_norm_against_central_differences(case) -> None:
    x, gamma, beta, groups, eps = case
    pullback(ops.group_norm, x, gamma, beta, groups=groups, eps=eps).check()


@given(group_norms())
def test_group_norm_against_explicit_loops(case) -> None:
    x, gamma, beta, groups, eps = case
    y, _ = ops.group_norm(x, gamma, beta, groups=groups, eps=eps)
    per_group = x.shape[-1] // groups
    for n, g in product(range(x.shape[0]), range(groups)):
        own = range(g * per_group, (g + 1) * per_group)
        elements = [float(a) for c in own for a in x[n, ..., c].flat]
        mean = sum(elements) / len(elements)
        variance = sum((a - mean) ** 2 for a in elements) / len(elements)
        for c in own:
            expected = gamma[c] * (x[n, ..., c] - mean) / (variance + eps) ** 0.5 + beta[c]
            np.testing.assert_allclose(y[n, ..., c], expected, rtol=1e-10, atol=1e-11)


@given(group_norms())
def test_layer_norm_against_explicit_loops_and_central_differences(case) -> None:
    x, gamma, beta, _, eps = case
    x = np.concatenate([x, x**2 + 1.0], axis=-1)
    x = np.concatenate([x, x[..., ::-1] + np.arange(x.shape[-1])], axis=-1)
    gamma, beta = np.tile(gamma, 4), np.tile(beta, 4)
    y, _ = ops.layer_norm(x, gamma, beta, eps=eps)
    for at in np.ndindex(x.shape[:-1]):
        mean = sum(x[at]) / len(x[at])
        variance = sum((a - mean) ** 2 for a in x[at]) / len(x[at])
        expected = gamma * (x[at] - mean) / (variance + eps) ** 0.5 + beta
        np.testing.assert_allclose(y[at], expected, rtol=1e-10, atol=1e-11)
    pullback(ops.layer_norm, x, gamma, beta, eps=eps).check()


def test_layer_norm_is_group_norm_of_one_position(normals) -> None:
    x, gamma, beta = normals((5, 6), (6,), (6,))
    one, one_pullback = ops.layer_norm(x, gamma, beta)
    other, other_pullback = ops.group_norm(x, gamma, beta, groups=1)
    np.testing.assert_allclose(one, other, rtol=1e-12)
    for a, b in zip(one_pullback(x), other_pullback(x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_a_group_of_one_element_becomes_its_offset(normals) -> None:
    """So x and gamma have no effect and zero gradient."""
    x, gamma, beta = normals((3, 4), (4,), (4,))
    y, norm_pullback = ops.group_norm(x, gamma, beta, groups=4)
    np.testing.assert_array_equal(y, np.broadcast_to(beta, y.shape))
    dx, dgamma, dbeta = norm_pullback(y)
    np.testing.assert_allclose(dx, 0.0, atol=1e-12)
    np.testing.assert_array_equal(dgamma, 0.0)
    assert dbeta.any()


def test_group_norm_is_invariant_to_shift_and_scale_of_a_group(normals) -> None:
    """So the gradient of a bias before the norm can be zero."""
    x, ones, zeros, dy = normals((2, 5, 6), (6,), (6,), (2, 5, 6))
    y, norm_pullback = ops.group_norm(x, ones, zeros, groups=3, eps=0.0)
    np.testing.assert_allclose(
        ops.group_norm(7.0 * x + 3.0, ones, zeros, groups=3, eps=0.0)[0], y, rtol=1e-10
    )
    dx = norm_pullback(dy)[0].reshape(2, 5, 3, 2)
    np.testing.assert_allclose(dx.sum(axis=(1, 3)), 0.0, atol=1e-13)
    np.testing.assert_allclose((dx * x.reshape(dx.shape)).sum(axis=(1, 3)), 0.0, atol=1e-13)


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_a_large_mean_keeps_its_precision(normals, norm) -> None:
    """In float32 E[x^2] - E[x]^2 of values near 3000 has no correct digit."""
    x = 3000.0 + normals((2, 64, 8))
    gamma, beta = np.ones(8), np.zeros(8)

    def run(dtype):
        args = [a.astype(dtype) for a in (x.astype(np.float32), gamma, beta)]
        if norm == "group":
            return ops.group_norm(*args, groups=2)[0]
        return ops.layer_norm(*args)[0]

    np.testing.assert_allclose(run(np.float32), run(np.float64), atol=1e-3)


def test_groups_that_do_not_divide_the_channels_are_rejected() -> None:
    with pytest.raises(InputError, match="4 groups do not divide 6 channels"):
        ops.group_norm(np.zeros((1, 2, 6)), np.ones(6), np.zeros(6), groups=4)
