"""Precision and recall against their definition and in cases with known values."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from npdiff.errors import InputError
from npdiff.metrics import manifold
from npdiff.metrics.manifold import precision_recall


def by_definition(real, generated, k):
    def like(points, manifold):
        reach = np.sort(cdist(manifold, manifold), axis=1)[:, k]
        return np.mean((cdist(points, manifold) <= reach).any(axis=1))

    return like(generated, real), like(real, generated)


@pytest.mark.parametrize("block", [1024, 13])
@pytest.mark.parametrize("k", [1, 3])
def test_precision_recall_equals_the_definition(monkeypatch, block, k):
    monkeypatch.setattr(manifold, "BLOCK", block)
    rng = np.random.default_rng(k)
    real, generated = rng.standard_normal((90, 4)), 1.5 * rng.standard_normal((70, 4)) + 0.3
    got = precision_recall(real + 100, generated + 100, k)
    assert got == pytest.approx(by_definition(real, generated, k), abs=1e-12)
    assert 0 < got.precision < 1
    assert 0 < got.recall < 1


def test_cases_with_known_precision_and_recall():
    rng = np.random.default_rng(0)
    data = rng.standard_normal((300, 2))
    assert precision_recall(data, data) == (1, 1)
    assert precision_recall(data, data + 50) == (0, 0)
    # one mode of two: everything generated is like the data, half of the data is like it
    two = np.concatenate([data, data + 50])
    assert precision_recall(two, data) == (1, 0.5)
    assert precision_recall(data, two) == (0.5, 1)
    # more copies of a point than k, so that its ball has no extent
    copies = np.repeat(data[:10] + 1e3, 5, axis=0)
    assert precision_recall(copies, copies) == (1, 1)
    assert precision_recall(copies, copies + 1e-3) == (0, 0)


def test_too_few_samples_are_refused():
    x = np.random.default_rng(0).standard_normal((10, 2))
    with pytest.raises(InputError, match="generated: 3 samples are too few, give at least 4"):
        precision_recall(x, x[:3])
    with pytest.raises(InputError, match="k must be at least 1"):
        precision_recall(x, x, k=0)
