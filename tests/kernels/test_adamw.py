import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff.kernels import adamw as kernel
from npdiff.kernels.adamw import Vectors, adamw, chunks, norm
from npdiff.training.optimizer import Moments, clip, clip_factor, ema, global_norm
from npdiff.training.optimizer import adamw as definition
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

    length = float(global_norm(parts(gradient)))
    model, moments = definition(
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
    parallel_for=st.floats(0, 1),
    chunk=st.integers(1, 80),
    seed=st.integers(0, 2**32 - 1),
    step=st.integers(1, 10**6),
    limit=st.sampled_from([0.1, 1.0, 1e6]),
    decays=st.tuples(st.sampled_from([0.0, 0.01, 0.3]), st.sampled_from([0.0, 0.5, 0.9999])),
)
def test_the_pass_is_the_definitions_to_the_last_bit(
    dtype, size, parallel_for, chunk, seed, step, limit, decays
):
    """No rounding apart, in float64 as in float32: the same operations in the same order."""
    old, gradient = drawn(size, dtype, seed)
    decayed, order = int(parallel_for * size), random.Random(seed)
    options = {
        "step": step,
        "learning_rate": 0.1,
        "betas": (0.9, 0.99),
        "weight_decay": decays[0],
    }
    expected, length = defined(old, gradient, decayed, limit, decays[1], **options)

    def anyhow(f, pieces):
        for piece in order.sample(pieces, len(pieces)):
            f(piece)

    new = Vectors(*(np.full(size, np.nan, dtype) for _ in old))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "CHUNK", chunk)
        adamw(
            old,
            gradient,
            new,
            decayed=decayed,
            clip_factor=clip_factor(length, limit),
            average_decay=decays[1],
            parallel_for=anyhow,
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
def test_the_new_arrays_may_be_the_old_ones_and_the_first_moment_the_gradient(factor):
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
def test_the_norm_is_the_euclidean_length_however_the_work_is_shared(size, chunk, seed):
    vector = np.random.default_rng(seed).standard_normal(size).astype(np.float32) * 1e3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "CHUNK", chunk)
        found = norm(vector)
        backwards = norm(vector, parallel_for=lambda f, pieces: [f(p) for p in reversed(pieces)])
    assert found.dtype == np.float64
    assert found == backwards
    assert float(found) == pytest.approx(float(global_norm((vector,))), rel=1e-15 * max(size, 1))


def test_the_norm_neither_overflows_nor_hides_what_is_not_finite():
    assert float(norm(np.full(4, 1e30, np.float32))) == pytest.approx(2e30)
    for bad in (np.nan, np.inf):
        vector = np.zeros(3 * kernel.CHUNK, np.float32)
        vector[-1] = bad
        assert not np.isfinite(norm(vector))


def test_chunks_cover_everything_once():
    for start, stop, size in ((0, 10, 3), (4, 4, 2), (5, 9, 4), (1, 3, 100)):
        covered = [i for part in chunks(start, stop, size) for i in range(20)[part]]
        assert covered == list(range(start, stop))


def test_once_warm_a_step_asks_for_no_memory():
    """Half a chunk is allowed, of which NumPy's buffer between dtypes takes half again."""
    old, gradient = drawn(2**21, np.float32)
    new = Vectors(*map(np.empty_like, old))

    def step():
        adamw(old, gradient, new, clip_factor=0.5, **OPTIONS)
        norm(gradient)

    step()
    tracemalloc.start()
    try:
        step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < kernel.CHUNK * gradient.itemsize / 2


def test_arrays_of_a_device_are_taken_whole():
    old, gradient = drawn(1000, np.float64)
    expected = Vectors(*map(np.empty_like, old))
    adamw(old, gradient, expected, clip_factor=0.5, **OPTIONS)
    there = Vectors(*map(strict.xp.asarray, old))
    g, new = strict.xp.asarray(gradient), Vectors(*map(strict.xp.empty_like, there))
    with strict.transfers() as moves:
        adamw(there, g, new, clip_factor=0.5, **OPTIONS)
        length = norm(g)
    assert moves == strict.Transfers()
    assert float(length.get()) == pytest.approx(float(norm(gradient)), rel=1e-14)
    for a, b in zip(new, expected, strict=True):
        assert a.get().tobytes() == b.tobytes()
