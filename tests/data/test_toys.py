"""Each density integrates to one and is the density of its samples."""

import numpy as np
import pytest
from scipy import stats

from npdiff.data.toys import TOYS, Moons, Pinwheel
from npdiff.random import Key

SIDE, CELLS, FINE = 6.0, 24, 40  # the square [-6, 6]^2 in 24 x 24 cells of 40 x 40 points


def cell_probabilities(density):
    """The integral of the density over each cell, by the midpoint rule."""
    count = CELLS * FINE
    middle = (np.arange(count) + 0.5) / count * 2 * SIDE - SIDE
    points = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1)
    p = np.exp(density.log_density(points)) * (2 * SIDE / count) ** 2
    return p.reshape(CELLS, FINE, CELLS, FINE).sum(axis=(1, 3))


@pytest.mark.parametrize("name", TOYS)
def test_density_agrees_with_a_histogram_and_integrates_to_one(name):
    density = TOYS[name]
    expected = cell_probabilities(density)
    assert abs(expected.sum() - 1) < 2e-3
    n = 40_000
    x = density.sample(Key(3, range(n)))
    assert x.shape == (n, 2)
    assert x.dtype == np.float64
    assert np.isfinite(density.log_density(x)).all()
    edges = np.linspace(-SIDE, SIDE, CELLS + 1)
    seen = np.histogram2d(x[:, 0], x[:, 1], bins=(edges, edges))[0]
    often = n * expected > 10
    seen = np.append(seen[often], n - seen[often].sum())
    wanted = np.append(n * expected[often], n * (1 - expected[often].sum()))
    keep = wanted > 1
    chi2 = ((seen - wanted)[keep] ** 2 / wanted[keep]).sum()
    assert stats.chi2.sf(chi2, keep.sum() - 1) > 1e-3
    assert seen[~keep].sum() < 20


def test_histogram_test_detects_a_missing_determinant():
    """Moons without their r^2, or a pinwheel twisted the other way, are far from their samples."""
    x = Moons(std=0.3).sample(Key(0, range(4000)))
    wrong = stats.norm.logpdf(np.log(np.linalg.norm(x + np.array([0.5, 0.25]), axis=-1)), scale=0.3)
    assert abs(np.mean(wrong - Moons(std=0.3).log_density(x))) > 0.1
    right, left = Pinwheel(), Pinwheel(twist=-1.0)
    x = right.sample(Key(0, range(4000)))
    assert np.mean(right.log_density(x) - left.log_density(x)) > 1


@pytest.mark.parametrize("name", TOYS)
def test_sample_depends_only_on_its_key(name):
    together = TOYS[name].sample(Key(1, range(5)))
    assert np.array_equal(TOYS[name].sample(Key(1, [3]))[0], together[3])
