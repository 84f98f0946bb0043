"""Every epoch is a permutation, and nothing but the seed and the step decides it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npdiff.data import batch_indices
from npdiff.data.batches import permutation
from npdiff.errors import InputError


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(1, 40), st.integers(1, 40))
def test_every_epoch_contains_every_sample_once(seed, batch, size):
    steps = -(-3 * size // batch)
    line = np.concatenate([batch_indices(seed, step, batch, size) for step in range(steps)])
    assert line.shape == (steps * batch,)
    for epoch in range(3):
        assert sorted(line[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_resumed_run_uses_the_same_samples():
    before = [batch_indices(5, step, 64, 9000) for step in range(700, 710)]
    permutation.cache_clear()
    assert np.array_equal(batch_indices(5, 707, 64, 9000), before[7])


def test_epochs_and_seeds_are_shuffled_independently_and_uniformly():
    size = 50
    orders = np.stack([permutation(seed, epoch, size) for seed in range(20) for epoch in range(20)])
    assert len({order.tobytes() for order in orders}) == 400
    # a sample's mean place over 400 orders is normal about 24.5 with standard error 0.72
    mean_place = np.argsort(orders, axis=1).mean(axis=0)
    assert np.abs(mean_place - 24.5).max() < 4 * 0.72
    neighbors = np.abs(np.corrcoef(orders)[np.triu_indices(400, 1)])
    assert neighbors.mean() < 0.13  # sqrt(2 / pi / 49) = 0.114 for independent orders


@pytest.mark.parametrize(("step", "batch", "size"), [(-1, 4, 4), (0, 0, 4), (0, 4, 0)])
def test_invalid_arguments_are_refused(step, batch, size):
    with pytest.raises(InputError, match="expected batch >= 1"):
        batch_indices(0, step, batch, size)
