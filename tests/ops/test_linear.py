"""linear, shift and modulate against explicit sums and central differences."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.verify import pullback

sizes = st.integers(1, 5)
leading = st.lists(sizes, min_size=1, max_size=4)
seeds = st.integers(0, 2**32 - 1)


@given(leading, sizes, sizes, st.booleans(), seeds)
def test_linear_against_explicit_sums(shape, c, f, bias, seed) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((*shape, c)), rng.standard_normal((c, f))
    b = rng.standard_normal(f) if bias else None
    y, linear_pullback = ops.linear(x, w, b)
    for at in np.ndindex(y.shape):
        terms = [x[at[:-1]][i] * w[i, at[-1]] for i in range(c)]
        np.testing.assert_allclose(y[at], sum(terms) + (b[at[-1]] if bias else 0.0), atol=1e-12)
    assert (linear_pullback(y)[2] is None) is not bias
    pullback(ops.linear, *((x, w, b) if bias else (x, w))).check()


@given(sizes, st.lists(sizes, max_size=3), sizes, seeds)
def test_shift_and_modulate_element_by_element(n, space, c, seed) -> None:
    rng = np.random.default_rng(seed)
    x, (a, b) = rng.standard_normal((n, *space, c)), rng.standard_normal((2, n, c))
    shifted, modulated = ops.shift(x, b)[0], ops.modulate(x, a, b)[0]
    for at in np.ndindex(x.shape):
        i, j = at[0], at[-1]
        assert shifted[at] == x[at] + b[i, j]
        np.testing.assert_allclose(modulated[at], x[at] * (1.0 + a[i, j]) + b[i, j], atol=1e-13)
    pullback(ops.shift, x, b).check()
    pullback(ops.modulate, x, a, b).check()


def test_modulate_by_zero_is_the_identity(normals) -> None:
    x, zero = normals((2, 3, 4)), np.zeros((2, 4))
    np.testing.assert_array_equal(ops.modulate(x, zero, zero)[0], x)
