"""Keyed random numbers: independence, distributions, and invalid arguments."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from npdiff.errors import InputError
from npdiff.random import Key

ONES = 0xFFFFFFFF


@given(
    st.integers(0, 2**64 - 1),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6),
    st.integers(1, 5),
)
def test_a_split_batch_has_the_draws_of_the_whole_batch(seed, samples, cut) -> None:
    def draws(rows):
        key = Key(seed, rows, 3, "x")
        return key.normal((2, 3)), key.uniform((5,)), key.integers(10)

    parts = [draws(rows) for rows in (samples[:cut], samples[cut:]) if rows]
    for whole, *pieces in zip(draws(samples), *parts, strict=True):
        np.testing.assert_array_equal(whole, np.concatenate(pieces))


def test_shapes_and_dtypes() -> None:
    key = Key(0, (1, 2, 3))
    assert key.normal().shape == key.uniform().shape == key.integers(5).shape == (3,)
    assert key.normal((2, 3)).shape == key.uniform((2, 3)).shape == (3, 2, 3)
    assert key.normal().dtype == key.uniform().dtype == np.float64
    assert (key.integers(5).dtype, key.bits(3).dtype) == (np.int64, np.uint64)


def test_every_field_of_a_key_changes_the_draw() -> None:
    base = {"seed": 1, "samples": (2,), "step": 3, "stream": "a"}
    others = [{"seed": 2}, {"seed": 1 + 2**32}, {"samples": (3,)}, {"step": 4}, {"stream": "b"}]
    draws = [Key(**{**base, **other}).bits(64)[0] for other in [{}, *others]]
    for a, b in combinations(draws, 2):
        assert (a == b).mean() < 0.05
    np.testing.assert_array_equal(Key(**base).bits(64)[0], draws[0])


def test_fold_appends_to_the_stream() -> None:
    key = Key(5, (0, 1), 2, "train")
    folded = key.fold("dropout").fold(3)
    assert (folded.seed, folded.samples, folded.step) == (5, (0, 1), 2)
    assert folded.stream == "train/dropout/3"
    assert (folded.bits(8) != key.bits(8)).any()


def test_uniform_excludes_both_ends(monkeypatch) -> None:
    for word, value in ((0, 2.0**-33), (ONES, 1.0 - 2.0**-33)):
        monkeypatch.setattr(Key, "bits", lambda *_, w=word: np.full((1, 1), w, dtype=np.uint64))
        assert Key(0, (0,)).uniform((1,))[0, 0] == value


@pytest.mark.parametrize("shape", [(1000,), (999,)])
def test_uniform_and_normal_draws_have_their_distributions(shape) -> None:
    """Kolmogorov-Smirnov test at level 1e-3 with a fixed seed, over all samples and within one."""
    key = Key(2024, range(100), stream="laws")
    u, z = key.uniform(shape), key.normal(shape)
    for draws, distribution in ((u, stats.uniform), (z, stats.norm)):
        for some in (draws.ravel(), draws[0], draws[:, 0], draws[:, -1]):
            assert stats.kstest(some, distribution.cdf).pvalue > 1e-3
    n = z.size
    moments = [(z**k).mean() for k in (1, 2, 3, 4)]
    deviations = np.sqrt(np.array([1.0, 2.0, 15.0, 96.0]) / n)
    assert (np.abs(np.array(moments) - [0.0, 1.0, 0.0, 3.0]) < 4.0 * deviations).all()


def test_draws_are_not_correlated() -> None:
    """Cosine and sine halves, neighboring samples, steps and streams."""
    key, n = Key(7, range(2), 0, "a"), 40_000
    z = key.normal((n,))
    pairs = [
        (z[0, : n // 2], z[0, n // 2 :]),
        (z[0], z[1]),
        (z[0], Key(7, range(2), 1, "a").normal((n,))[0]),
        (z[0], Key(7, range(2), 0, "b").normal((n,))[0]),
        (z[0, 1:], z[0, :-1]),
    ]
    for a, b in pairs:
        for f in (np.asarray, np.square):
            assert abs(np.corrcoef(f(a), f(b))[0, 1]) < 4.5 / np.sqrt(len(a))


@pytest.mark.parametrize("high", [1, 2, 7, 1000])
def test_integers_are_unbiased(high) -> None:
    found = Key(3, range(20_000), stream="integers").integers(high)
    counts = np.bincount(found, minlength=high)
    assert (found.min(), len(counts)) == (0, high)
    assert high == 1 or stats.chisquare(counts).pvalue > 1e-3


def test_integers_reach_large_bounds_and_reject_others() -> None:
    assert Key(0, range(100)).integers(2**32).max() > 2**31
    for high in (0, -1, 2**32 + 1):
        with pytest.raises(InputError, match="high must be between 1 and"):
            Key(0, (0,)).integers(high)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "0"])
def test_invalid_seeds_are_rejected(seed) -> None:
    with pytest.raises(InputError, match="seed must be an integer from 0 to"):
        Key(seed, (0,))


@pytest.mark.parametrize("step", [-1, 2**32, 0.5])
def test_invalid_steps_are_rejected(step) -> None:
    with pytest.raises(InputError, match="step must be an integer from 0 to"):
        Key(0, (0,), step)


@pytest.mark.parametrize(
    "samples", [(-1,), (0, 2**32), (2**70,), (0.5,), np.array([-1]), ((1, 2), (3, 4)), 5]
)
def test_invalid_samples_are_rejected(samples) -> None:
    with pytest.raises(InputError, match="samples must be"):
        Key(0, samples)


def test_the_ends_of_each_range_are_valid() -> None:
    last = Key(2**64 - 1, (2**32 - 1,), 2**32 - 1).bits(4)
    assert (last != Key(0, (0,)).bits(4)).all()
    for seed in (np.int32(5), np.uint64(5), np.int64(5)):
        np.testing.assert_array_equal(Key(seed, (0,)).bits(4), Key(5, (0,)).bits(4))
