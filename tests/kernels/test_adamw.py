"""The AdamW kernel equals the definitions bit for bit, in any order of the chunks."""

import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff.acceleration import IdleThreads, idle_threads
from npdiff.kernels import adamw as kernel
from npdiff.kernels.adamw import adamw, global_norm
from npdiff.kernels.vectors import Vectors
from npdiff.training import optimizer
from npdiff.training.optimizer import Moments, clip, clip_factor, ema
from npdiff.verify import strict


def drawn(size, dtype, seed=0):
    """A state and a gradient in flat arrays, read-only."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(size).astype(dtype) for _ in range(5)]
    arrays[2] **= 2
    for array in arrays:
        array.flags.writeable = False
    return Vectors(*arrays[:4]), arrays[4]


def defined(old, gradient, decayed, limit, average_decay, **options):
    """The step by the definitions: a matrix that decays and a vector that does not."""

    def parts(a):
        return a[:decayed].reshape(1, -1), a[decayed:]

    length = float(optimizer.global_norm(parts(gradient)))
    model, moments = optimizer.adamw(
        parts(old.model),
        clip(parts(gradient), length, limit),
        Moments(parts(old.first), parts(old.second)),
        **options,
    )
    trees = model, moments.first, moments.second, ema(parts(old.average), model, average_decay)
    return Vectors(*(np.concatenate([tree[0][0], tree[1]]) for tree in trees)), length


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    size=st.integers(1, 70),
    fraction=st.floats(0, 1),
    chunk=st.integers(1, 80),
    seed=st.integers(0, 2**32 - 1),
    step=st.integers(1, 10**6),
    limit=st.sampled_from([0.1, 1.0, 1e6]),
    decays=st.tuples(st.sampled_from([0.0, 0.01, 0.3]), st.sampled_from([0.0, 0.5, 0.9999])),
)
def test_one_pass_equals_the_definitions_bit_for_bit(
    dtype, size, fraction, chunk, seed, step, limit, decays
):
    """In float32 and float64, for any order of the chunks."""
    old, gradient = drawn(size, dtype, seed)
    decayed, order = int(fraction * size), random.Random(seed)
    options = {
        "step": step,
        "learning_rate": 0.1,
        "betas": (0.9, 0.99),
        "weight_decay": decays[0],
    }
    expected, length = defined(old, gradient, decayed, limit, decays[1], **options)

    def in_random_order(f, items):
        for item in order.sample(items, len(items)):
            f(item)

    new = Vectors(*(np.full(size, np.nan, dtype) for _ in old))
    with pytest.MonkeyPatch.context() as patch, idle_threads(IdleThreads(2, in_random_order)):
        patch.setattr(kernel, "CHUNK", chunk)
        adamw(
            old,
            gradient,
            new,
            decayed=decayed,
            clip_factor=clip_factor(length, limit),
            average_decay=decays[1],
            **options,
        )
    for name in Vectors._fields:
        found = getattr(new, name)
        assert found.dtype == dtype
        assert found.tobytes() == getattr(expected, name).tobytes(), name


OPTIONS = {
    "step": 3,
    "learning_rate": 0.1,
    "betas": (0.9, 0.99),
    "weight_decay": 0.1,
    "decayed": 700,
    "average_decay": 0.5,
}


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_new_arrays_may_share_memory_with_old_ones_and_the_gradient(factor):
    old, gradient = drawn(1000, np.float64)
    apart = Vectors(*map(np.empty_like, old))
    adamw(old, gradient, apart, clip_factor=factor, **OPTIONS)
    same = Vectors(*(a.copy() for a in old))
    adamw(same, gradient, same, clip_factor=factor, **OPTIONS)
    reused = gradient.copy()
    onto = apart._replace(first=reused)
    adamw(old, reused, onto, clip_factor=factor, **OPTIONS)
    expected = Vectors(*map(np.empty_like, old))
    adamw(old, gradient, expected, clip_factor=factor, **OPTIONS)
    for found in (same, onto):
        for a, b in zip(found, expected, strict=True):
            assert a.tobytes() == b.tobytes()


@given(size=st.integers(0, 200), chunk=st.integers(1, 50), seed=st.integers(0, 2**32 - 1))
def test_the_norm_is_euclidean_for_any_order_of_the_chunks(size, chunk, seed):
    vector = np.random.default_rng(seed).standard_normal(size).astype(np.float32) * 1e3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "CHUNK", chunk)
        found = global_norm(vector)
        with idle_threads(IdleThreads(2, lambda f, items: [f(item) for item in reversed(items)])):
            backwards = global_norm(vector)
    assert found.dtype == np.float64
    assert found == backwards
    assert float(found) == pytest.approx(
        float(optimizer.global_norm((vector,))), rel=1e-15 * max(size, 1)
    )


def test_the_norm_does_not_overflow_and_is_not_finite_if_an_element_is_not():
    assert float(global_norm(np.full(4, 1e30, np.float32))) == pytest.approx(2e30)
    for bad in (np.nan, np.inf):
        vector = np.zeros(3 * kernel.CHUNK, np.float32)
        vector[-1] = bad
        assert not np.isfinite(global_norm(vector))


def test_after_the_first_step_no_memory_is_allocated():
    """Half a chunk is allowed; NumPy's buffer between dtypes takes half of that."""
    old, gradient = drawn(2**21, np.float32)
    new = Vectors(*map(np.empty_like, old))

    def step():
        adamw(old, gradient, new, clip_factor=0.5, **OPTIONS)
        global_norm(gradient)

    step()
    tracemalloc.start()
    try:
        step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < kernel.CHUNK * gradient.itemsize / 2


def test_arrays_of_a_device_are_one_chunk():
    old, gradient = drawn(1000, np.float64)
    expected = Vectors(*map(np.empty_like, old))
    adamw(old, gradient, expected, clip_factor=0.5, **OPTIONS)
    there = Vectors(*map(strict.xp.asarray, old))
    g, new = strict.xp.asarray(gradient), Vectors(*map(strict.xp.empty_like, there))
    with strict.transfers() as moves:
        adamw(there, g, new, clip_factor=0.5, **OPTIONS)
        length = global_norm(g)
    assert moves == strict.Transfers()
    assert float(length.get()) == pytest.approx(float(global_norm(gradient)), rel=1e-14)
    for a, b in zip(new, expected, strict=True):
        assert a.get().tobytes() == b.tobytes()
