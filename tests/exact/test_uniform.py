"""Uniform data: limits at both ends of time, accuracy far out, refusals."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.exact import Uniform
from npdiff.random import Key
from npdiff.schedules import EDM, SCHEDULES, LinearVP

ALL = {name: make() for name, make in SCHEDULES.items()}
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)
BOX = Uniform([-0.7, 0.2], [1.6, 0.5])


@everywhere
def test_limit_without_noise(schedule) -> None:
    x = np.array([[0.3, 0.4], [-0.7, 0.5], [2.0, 0.3], [0.0, -1.0]])
    carried = np.array([[0.3, 0.4], [-0.7, 0.5], [1.6, 0.3], [0.0, 0.2]])
    np.testing.assert_allclose(BOX.denoised(schedule, x, 0.0), carried, rtol=1e-14)
    assert BOX.covariance(schedule, x, 0.0).max() < 1e-150
    inside = -BOX.entropy()
    log_q = BOX.log_density(schedule, x, 0.0)
    np.testing.assert_allclose(log_q[0], inside, rtol=1e-13)
    assert (log_q[2:] == -np.inf).all()
    one, eps = BOX.denoiser(schedule)(x[:1], 0.0)
    np.testing.assert_allclose(one, x[:1], rtol=1e-14)
    assert (eps == 0).all()


@pytest.mark.parametrize("name", ["rectified-flow", "zero-snr"])
def test_limit_without_signal(name: str) -> None:
    schedule, x = ALL[name], np.array([[3.0, -2.0]])
    T = schedule.t_max
    np.testing.assert_allclose(BOX.denoised(schedule, x, T), [[0.45, 0.35]], rtol=1e-13)
    variances = np.array([2.3, 0.3]) ** 2 / 12
    np.testing.assert_allclose(BOX.covariance(schedule, x, T)[0], np.diag(variances), rtol=1e-12)
    np.testing.assert_allclose(
        BOX.log_density(schedule, x, T), [-np.log(2 * np.pi) - 6.5], rtol=1e-12
    )
    assert BOX.mean_posterior_variance(schedule, T) == pytest.approx(variances.mean(), rel=1e-12)


@pytest.mark.parametrize("sigma", [1e-8, 1e-3, 1.0, 1e3, 1e6])
def test_moments_are_accurate_far_outside_the_interval(sigma: float) -> None:
    """1e5 standard deviations outside, the posterior is exponential with a known slope."""
    segment, schedule = Uniform(0.0, 1.0), EDM(sigma_max=1e7)
    far = 1e5 * sigma
    slope = far / sigma**2
    x = np.array([[-far], [1.0 + far]])
    mean = segment.denoised(schedule, x, sigma)[:, 0]
    variance = segment.covariance(schedule, x, sigma)[:, 0, 0]
    # of exp(-slope u) on [0, 1]
    left = np.expm1(-slope) if slope < 500 else -1.0
    expected = 1 / slope + (1 + left) / left if slope > 1e-3 else 0.5 - slope / 12
    np.testing.assert_allclose(mean, [expected, 1 - expected], rtol=2e-4, atol=1e-16)
    if slope > 500:
        np.testing.assert_allclose(variance, 1 / slope**2, rtol=2e-4)
    assert (variance > 0).all()
    assert np.isfinite(segment.log_density(schedule, x, sigma)).all()


def test_edges_have_no_effect_far_inside_at_small_noise() -> None:
    schedule = LinearVP()
    t = float(schedule.time_at(-2 * np.log(1e-3)))
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    x = np.array([[0.4, 0.35]])
    np.testing.assert_allclose(BOX.denoised(schedule, x, t), x / alpha, rtol=1e-12)
    covariance = BOX.covariance(schedule, x, t)[0]
    np.testing.assert_allclose(covariance, (sigma / alpha) ** 2 * np.eye(2), rtol=1e-11)


@everywhere
def test_flow_is_inverted_by_the_flow_back(schedule) -> None:
    x = np.array([[[-0.6], [0.21]], [[0.3], [0.3]], [[1.5], [0.49]]])
    T = 0.95 * schedule.t_max
    there = BOX.flow(schedule, x, 0.0, T)
    assert there.shape == x.shape
    np.testing.assert_allclose(BOX.flow(schedule, there, T, 0.0), x, rtol=1e-9)
    assert BOX.flow(schedule, x.astype(np.float32), 0.0, T).dtype == np.float32


def test_batched_times_and_images() -> None:
    data, schedule = Uniform(-np.ones(4), np.ones(4)), LinearVP()
    x = np.random.default_rng(0).normal(size=(3, 2, 2, 1)).astype(np.float32)
    t = np.array([0.0, 0.4, 1.0])
    found = data.denoised(schedule, x, t)
    assert found.shape == x.shape
    assert found.dtype == np.float32
    for i in range(3):
        alone = data.denoised(schedule, x[i : i + 1], float(t[i]))
        np.testing.assert_allclose(found[i : i + 1], alone, rtol=1e-6)
    assert data.log_density(schedule, x, 0.5).dtype == np.float32


def test_samples_are_uniform_in_the_box() -> None:
    x = BOX.sample(Key(1, range(4000)))
    assert x.shape == (4000, 2)
    assert (BOX.low < x).all()
    assert (x < BOX.high).all()
    u = (np.sort(x, axis=0) - BOX.low) / (BOX.high - BOX.low)
    assert np.abs(u - (np.arange(4000)[:, None] + 0.5) / 4000).max() < 1.95 / np.sqrt(4000)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.0, 0.0), (1.0, 0.0), (0.0, np.inf), (np.nan, 1.0), ([0.0], [1.0, 2.0]), ([[0.0]], [[1.0]])],
)
def test_invalid_ends_are_refused(low, high) -> None:
    with pytest.raises(InputError, match="expected"):
        Uniform(low, high)
