"""Gaussian data: forms of the covariance, samples, limits, images, refusals."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import multivariate_normal

from npdiff.errors import InputError
from npdiff.exact import Gaussian
from npdiff.random import Key
from npdiff.schedules import SCHEDULES

ALL = {name: SCHEDULES[name]() for name in ("linear", "cosine", "vp", "cosine-continuous")}
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)
C = np.array([[0.5, 0.2], [0.2, 0.3]])
FULL = Gaussian([0.7, -0.4], C)


def test_log_density_of_data_agrees_with_scipy() -> None:
    x = np.random.default_rng(0).normal(size=(6, 2))
    expected = multivariate_normal([0.7, -0.4], C).logpdf(x)
    np.testing.assert_allclose(FULL.log_density(ALL["vp"], x, 0), expected, rtol=1e-12)


@pytest.mark.parametrize("covariance", [C, np.array([0.5, 0.3]), 0.4], ids=["full", "diag", "one"])
def test_samples_have_the_mean_and_covariance(covariance) -> None:
    M = 20_000
    x = Gaussian([0.7, -0.4], covariance).sample(Key(3, range(M)))
    matrix = covariance * np.eye(2) if np.ndim(covariance) < 2 else covariance
    deviation = np.sqrt(np.diag(matrix))
    assert x.shape == (M, 2)
    assert (np.abs(x.mean(axis=0) - [0.7, -0.4]) < 5 * deviation / np.sqrt(M)).all()
    error = np.abs(np.cov(x.T) - matrix)
    assert (error < 5 * np.sqrt(2 / M) * np.outer(deviation, deviation)).all()


@everywhere
def test_denoiser_and_flow_agree_with_matrix_functions(schedule) -> None:
    """In three dimensions, with the inverse and the square root of the matrices."""
    A = np.array([[1.0, 0.5, 0.2], [0.0, 0.8, -0.3], [0.4, 0.0, 0.6]])
    C, m = A @ A.T, np.array([0.3, -0.2, 0.9])
    data, x = Gaussian(m, C), np.random.default_rng(7).normal(size=(4, 3))
    t, s = 0.4 * schedule.t_max, 0.1 * schedule.t_max
    (a, V), (a_s, V_s) = (
        (schedule.alpha(u), schedule.alpha(u) ** 2 * C + schedule.sigma(u) ** 2 * np.eye(3))
        for u in (t, s)
    )
    mean = m + a * (x - a * m) @ np.linalg.solve(V, C)
    np.testing.assert_allclose(data.denoised(schedule, x, t), mean, rtol=1e-9)
    flow = a_s * m + (x - a * m) @ (sqrtm(V_s) @ np.linalg.inv(sqrtm(V))).real.T
    np.testing.assert_allclose(data.flow(schedule, x, t, s), flow, rtol=1e-8)
    M = 20_000
    np.testing.assert_allclose(np.cov(data.sample(Key(8, range(M))).T), C, atol=10 / np.sqrt(M))


@everywhere
def test_scalar_diagonal_and_full_covariance_agree(schedule) -> None:
    x, t = np.random.default_rng(4).normal(size=(3, 2)), 0.4 * schedule.t_max
    forms = [Gaussian([0.7, -0.4], c) for c in (0.3 * np.eye(2), np.array([0.3, 0.3]), 0.3)]
    for a, b in pairwise(forms):
        for call in (
            lambda d: d.denoised(schedule, x, t),
            lambda d: d.log_density(schedule, x, t),
            lambda d: d.flow(schedule, x, t, 0.0),
        ):
            np.testing.assert_allclose(call(a), call(b), rtol=1e-12)


@everywhere
def test_batched_times_images_and_float32(schedule) -> None:
    rng = np.random.default_rng(5)
    data = Gaussian(rng.normal(size=4), np.diag(rng.uniform(0.1, 1, 4)) + 0.05)
    x = rng.normal(size=(3, 2, 2, 1)).astype(np.float32)
    t = np.array([0.1, 0.5, 1.0]) * schedule.t_max
    together = (*data.denoiser(schedule)(x, t), data.score(schedule, x, t))
    density = data.log_density(schedule, x, t)
    assert density.shape == (3,)
    assert density.dtype == np.float32
    for i in range(3):
        one = x[i : i + 1]
        ti = float(t[i])
        alone = (*data.denoiser(schedule)(one, ti), data.score(schedule, one, ti))
        for a, b in zip(together, alone, strict=True):
            assert a.dtype == b.dtype == np.float32
            assert a.shape == x.shape
            np.testing.assert_allclose(a[i : i + 1], b, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(density[i], data.log_density(schedule, one, ti)[0], rtol=1e-5)
    assert data.flow(schedule, x, float(t[1]), 0.0).dtype == np.float32


@pytest.mark.parametrize(
    ("mean", "covariance", "match"),
    [
        ([0, 0], np.ones(3), "expected a mean"),
        ([0, 0], np.ones((2, 3)), "expected a mean"),
        ([[0, 0]], 1.0, "expected a mean"),
        ([0, 0], -1.0, "eigenvalues .* must be 0 or more, got -1"),
        ([0, 0], np.array([[1.0, 2.0], [2.0, 1.0]]), "eigenvalues .* must be 0 or more, got -1"),
        ([0, 0], np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        ([0, 0], np.nan, "covariance must be finite, got"),
        ([0, np.nan], 1.0, "mean and the covariance must be finite, got"),
    ],
)
def test_invalid_parameters_are_refused(mean, covariance, match: str) -> None:
    with pytest.raises(InputError, match=match):
        Gaussian(mean, covariance)


def test_samples_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match="samples with 2 values, got 3"):
        FULL.denoised(ALL["vp"], np.zeros((1, 3)), 0.5)


@everywhere
def test_data_without_variance_along_one_axis(schedule) -> None:
    flat, x = Gaussian([0.5, -0.2], [0.3, 0.0]), np.array([[1.0, 0.4]])
    t = 0.3 * schedule.t_max
    assert flat.denoised(schedule, x, t)[0, 1] == pytest.approx(-0.2)
    np.testing.assert_allclose(flat.denoised(schedule, x, 0.0), [[1.0, -0.2]], rtol=1e-14)
    assert (flat.covariance(schedule, x, t)[0, 1] == 0).all()
    assert flat.flow(schedule, x, t, 0.0)[0, 1] == pytest.approx(-0.2)
    assert flat.entropy() == -np.inf
    with pytest.raises(InputError, match="no density"):
        flat.log_density(schedule, x, 0.0)
    with pytest.raises(InputError, match="the flow is not defined"):
        flat.flow(schedule, x, 0.0, t)


@pytest.mark.parametrize("name", ["rectified-flow", "zero-snr"])
def test_without_signal_the_estimate_is_the_mean(name: str) -> None:
    schedule, x = SCHEDULES[name](), np.array([[3.0, -2.0]])
    T = schedule.t_max
    x_0, eps = FULL.denoiser(schedule)(x, T)
    np.testing.assert_allclose(x_0, [FULL.mean], rtol=1e-14)
    np.testing.assert_allclose(eps, x, rtol=1e-14)
    np.testing.assert_allclose(FULL.covariance(schedule, x, T)[0], C, rtol=1e-13)
    there = FULL.flow(schedule, x, T, 0.0)
    np.testing.assert_allclose(FULL.flow(schedule, there, 0.0, T), x, rtol=1e-12)


def test_conditional_distribution_and_its_invalid_arguments() -> None:
    for known, values in (
        ([True], 1.0),
        ([True, True], [0, 0]),
        ([False, False], []),
        ([True, False], [1, 2]),
    ):
        with pytest.raises(InputError, match="expected 2 booleans"):
            FULL.conditional(known, values)
    rest = FULL.conditional([False, True], 0.1)
    assert rest.mean == pytest.approx(0.7 + 0.2 / 0.3 * 0.5)
    assert rest.variances == pytest.approx(0.5 - 0.2**2 / 0.3)
    alone = Gaussian([1.0, 2.0, 3.0], [0.1, 0.2, 0.3]).conditional([True, False, True], [0.0, 0.0])
    assert alone.mean == pytest.approx(2.0)
    assert alone.entropy() == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 0.2))


def test_zero_eigenvalues_stay_zero_after_rounding() -> None:
    """Rounding may make the zeros of a singular covariance's spectrum negative."""
    v = np.array([1.0, 2.0, 3.0])
    data = Gaussian([0.1, 0.2, 0.3], np.outer(v, v))
    np.testing.assert_allclose(data.variances, [0.0, 0.0, 14.0], rtol=1e-14)
    assert data.entropy() == -np.inf
