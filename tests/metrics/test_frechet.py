"""The Fréchet distance against closed forms, SciPy's matrix square root, optimal transport."""

import numpy as np
import pytest
from scipy import linalg

from npdiff.errors import InputError
from npdiff.metrics.frechet import fit_gaussian, frechet_distance, frechet_of_gaussians


def covariance(rng, d, rank=None):
    a = rng.standard_normal((d, rank or d))
    return a @ a.T


@pytest.mark.parametrize("d", [1, 2, 7, 40])
def test_equals_the_formula_with_scipys_matrix_square_root(d):
    rng = np.random.default_rng(d)
    m, n = rng.standard_normal((2, d))
    a, b = covariance(rng, d), covariance(rng, d)
    root = linalg.sqrtm(a @ b)
    expected = np.sum((m - n) ** 2) + np.trace(a + b - 2 * root.real)
    assert frechet_of_gaussians(m, a, n, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_of_gaussians(n, b, m, a) == pytest.approx(expected, rel=1e-9)


def test_closed_forms_of_simple_gaussians():
    rng = np.random.default_rng(0)
    d = 6
    s, t = rng.uniform(0.1, 3, size=(2, d))
    zero = np.zeros(d)
    # covariances that commute: the distance between the standard deviations
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    a, b = turn * s**2 @ turn.T, turn * t**2 @ turn.T
    assert frechet_of_gaussians(zero, a, zero, b) == pytest.approx(np.sum((s - t) ** 2), rel=1e-10)
    # lines at an angle, singular: |u|^2 + |v|^2 - 2 |u.v|
    u, v = rng.standard_normal((2, d))
    expected = u @ u + v @ v - 2 * abs(u @ v)
    got = frechet_of_gaussians(zero, np.outer(u, u), zero, np.outer(v, v))
    assert got == pytest.approx(expected, rel=1e-7)
    # a Gaussian against itself, singular and of great condition
    c = covariance(rng, d, rank=2) + 1e-12 * np.eye(d)
    assert frechet_of_gaussians(zero, c, zero, c) < 1e-13 * np.trace(c)


def test_frechet_distance_fits_gaussians_to_features():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((500, 5)), 2 * rng.standard_normal((400, 5)) + 1
    mean, cov = fit_gaussian(x)
    np.testing.assert_allclose(cov, np.cov(x.T), atol=1e-14)
    expected = frechet_of_gaussians(mean, cov, y.mean(axis=0), np.cov(y.T))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(x.astype(np.float32), y) == pytest.approx(expected, rel=1e-4)
    turned = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    assert frechet_distance(x @ turned, y @ turned) == pytest.approx(expected, rel=1e-9)
    assert expected == pytest.approx(5 * (1 + 1), rel=0.1)  # |1 - 0|^2 + (2 - 1)^2 in each of 5


def test_in_one_dimension_it_is_the_distance_of_quantiles():
    from scipy import stats

    q = (np.arange(200_000) + 0.5) / 200_000
    x, y = stats.norm.ppf(q, 0.3, 0.5), stats.norm.ppf(q, -1.0, 2.0)
    transport = np.mean((x - y) ** 2)
    got = frechet_of_gaussians(*(np.array(v) for v in ([0.3], [[0.25]], [-1.0], [[4.0]])))
    assert got == pytest.approx(transport, rel=1e-3)


def test_fewer_samples_than_features_are_accepted_and_one_is_refused():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((4, 30)), rng.standard_normal((5, 30))
    root = linalg.sqrtm(np.cov(x.T) + 1e-10 * np.eye(30))
    inner = linalg.sqrtm(root @ np.cov(y.T) @ root + 1e-16 * np.eye(30)).real
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(
        np.cov(x.T) + np.cov(y.T) - 2 * inner
    )
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(InputError, match="x: 1 samples are too few"):
        frechet_distance(x[:1], y)
    with pytest.raises(InputError, match="y: the features of 2 of 5 samples are not finite"):
        frechet_distance(x, np.where(np.arange(5)[:, None] < 2, np.nan, y))
    with pytest.raises(InputError, match="y: 29 features, but x has 30"):
        frechet_distance(x, y[:, 1:])
    with pytest.raises(InputError, match=r"shape \(samples, features\)"):
        frechet_distance(x[0], y)
    with pytest.raises(InputError, match="positive semidefinite"):
        frechet_of_gaussians(np.zeros(2), np.diag([1.0, -1.0]), np.zeros(2), np.eye(2))
