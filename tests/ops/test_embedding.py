"""Table lookup and sinusoidal features: published values, definitions, central differences."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.errors import InputError
from npdiff.ops._embedding import VARIANTS
from npdiff.verify import pullback

seeds = st.integers(0, 2**32 - 1)

# Features 47 to 49 of 64 at t = 23, 24, 25, as published networks compute them.
PUBLISHED = {
    "ddpm": [[0.9646, 0.9804, 0.9892], [0.9615, 0.9787, 0.9882], [0.9582, 0.9769, 0.9872]],
    "adm": [[0.3019, 0.2280, 0.1716], [0.3146, 0.2377, 0.1790], [0.3272, 0.2474, 0.1864]],
}


@pytest.mark.parametrize("variant", PUBLISHED)
def test_sinusoidal_features_are_the_published_ones(variant) -> None:
    y, _ = ops.sinusoidal(np.array([23.0, 24.0, 25.0]), width=64, variant=variant)
    np.testing.assert_allclose(y[:, 47:50], PUBLISHED[variant], atol=5.001e-5)


@pytest.mark.parametrize("width", [4, 5, 6, 11])
@pytest.mark.parametrize("variant", VARIANTS)
def test_sinusoidal_against_its_definition(variant, width) -> None:
    t, half, longest = np.array([0.0, 0.3, -17.0]), width // 2, 500.0
    y, _ = ops.sinusoidal(t, width=width, variant=variant, longest=longest)
    for n, time in enumerate(t):
        waves = [longest ** (-i / (half - (variant == "ddpm"))) * time for i in range(half)]
        sines, cosines = [math.sin(a) for a in waves], [math.cos(a) for a in waves]
        expected = {
            "ddpm": sines + cosines,
            "adm": cosines + sines,
            "transformer": [f for pair in zip(sines, cosines, strict=True) for f in pair],
        }[variant]
        np.testing.assert_allclose(y[n], expected + [0.0] * (width % 2), atol=1e-13)


@given(st.integers(1, 4), st.integers(4, 9), st.sampled_from(VARIANTS), seeds)
def test_the_pullback_of_sinusoidal(n, width, variant, seed) -> None:
    t = 10.0 * np.random.default_rng(seed).standard_normal(n)
    pullback(ops.sinusoidal, t, width=width, variant=variant, longest=100.0).check()


@given(st.integers(1, 5), st.integers(1, 4), st.lists(st.integers(1, 3), max_size=2), seeds)
def test_embedding_looks_up_rows_and_adds_their_gradients(symbols, width, shape, seed) -> None:
    """A symbol that occurs twice gets the sum of both gradients, an absent one gets 0."""
    rng = np.random.default_rng(seed)
    table, index = rng.standard_normal((symbols, width)), rng.integers(symbols, size=shape)
    y, embedding_pullback = ops.embedding(table, index=index)
    dy = rng.standard_normal(y.shape)
    expected = np.zeros_like(table)
    for at in np.ndindex(*shape):
        np.testing.assert_array_equal(y[at], table[index[at]])
        expected[index[at]] += dy[at]
    np.testing.assert_allclose(embedding_pullback(dy)[0], expected, atol=1e-14)
    pullback(ops.embedding, table, index=index).check()


def test_invalid_sinusoidal_arguments_are_rejected() -> None:
    t = np.ones(2)
    with pytest.raises(InputError, match="unknown variant 'cosine': choose one of ddpm, adm"):
        ops.sinusoidal(t, width=8, variant="cosine")
    with pytest.raises(InputError, match="at least 4, got 3"):
        ops.sinusoidal(t, width=3)
    with pytest.raises(InputError, match="floating-point dtype, got int64"):
        ops.sinusoidal(t.astype(np.int64), width=8)


@pytest.mark.parametrize("index", [-1, 5])
def test_an_index_outside_the_table_is_rejected(index):
    with pytest.raises(InputError, match="rows 0 to 4"):
        ops.embedding(np.zeros((5, 3)), index=np.array([0, index]))
