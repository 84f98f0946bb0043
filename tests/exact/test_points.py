"""A finite set of points: limits, ends of the flow, images, refusals."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.exact import FiniteData, Gaussian, Mixture
from npdiff.random import Key
from npdiff.schedules import SCHEDULES, LinearVP

ALL = {name: make() for name, make in SCHEDULES.items()}
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)
P = np.array([[0.3, 1.0], [0.5, -0.4], [-1.2, 0.2]])
DATA = FiniteData(P, [1, 2, 3])


@everywhere
def test_without_noise_the_estimate_is_the_nearest_point(schedule) -> None:
    x = P + np.array([[0.1, -0.2], [0.0, 0.0], [-0.1, 0.3]])
    np.testing.assert_array_equal(DATA.denoised(schedule, x, 0.0), P)
    np.testing.assert_array_equal(DATA.responsibilities(schedule, x, 0.0), np.eye(3))
    np.testing.assert_array_equal(DATA.covariance(schedule, x, 0.0), np.zeros((3, 2, 2)))
    x_0, eps = DATA.denoiser(schedule)(P, 0.0)
    np.testing.assert_array_equal(x_0, P)
    np.testing.assert_array_equal(eps, np.zeros((3, 2)))
    assert DATA.mean_posterior_variance(schedule, 0.0) == 0.0


@pytest.mark.parametrize("name", ["rectified-flow", "zero-snr"])
def test_without_signal_the_posterior_is_the_data_distribution(name: str) -> None:
    schedule, x = ALL[name], np.array([[3.0, -2.0], [0.1, 0.4]])
    w = np.array([1, 2, 3]) / 6
    mean = w @ P
    variance = (w[:, None] * (P - mean)).T @ (P - mean)
    for found in DATA.denoised(schedule, x, schedule.t_max):
        np.testing.assert_allclose(found, mean, rtol=1e-14)
    for found in DATA.covariance(schedule, x, schedule.t_max):
        np.testing.assert_allclose(found, variance, rtol=1e-13)
    assert DATA.mean_posterior_variance(schedule, schedule.t_max) == pytest.approx(
        np.trace(variance) / 2, rel=1e-12
    )


@everywhere
def test_points_equal_a_mixture_with_zero_variances(schedule) -> None:
    mixture = Mixture([1, 2, 3], [Gaussian(p, 0.0) for p in P])
    x = np.random.default_rng(0).normal(size=(4, 2))
    t = np.array([0.2, 0.4, 0.7, 1.0]) * schedule.t_max
    for method in ("denoised", "covariance", "log_density", "score", "responsibilities"):
        ours, theirs = (getattr(d, method)(schedule, x, t) for d in (DATA, mixture))
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def test_flow_ends_in_the_points() -> None:
    schedule = LinearVP()
    start = np.random.default_rng(1).normal(size=(30, 2))
    ends = DATA.flow(schedule, start, 1.0, 0.0)
    nearest = np.abs(ends[:, None] - P).max(axis=-1).min(axis=-1)
    assert nearest.max() < 1e-12
    assert len({tuple(row) for row in ends.round(9)}) == 3


def test_flow_in_one_dimension_keeps_the_weights() -> None:
    """From samples of q(x_1) the ends are the points, with frequencies equal to the weights."""
    line, schedule = FiniteData([[2.0], [-1.0], [0.5]], [0.2, 0.3, 0.5]), LinearVP()
    x = np.sort(line.sample(Key(0, range(1000))) * schedule.alpha(1.0), axis=0)
    x = x + schedule.sigma(1.0) * np.sort(np.random.default_rng(2).normal(size=(1000, 1)), axis=0)
    ends = line.flow(schedule, x, 1.0, 0.0)
    values, counts = np.unique(ends, return_counts=True)
    np.testing.assert_array_equal(values, [-1.0, 0.5, 2.0])
    assert (np.abs(counts - [300, 500, 200]) < 60).all()
    assert (np.diff(ends, axis=0) >= 0).all()


def test_samples_are_points_with_the_right_frequencies() -> None:
    x = DATA.sample(Key(5, range(6000)))
    for p, fraction in zip(P, (1 / 6, 2 / 6, 3 / 6), strict=True):
        assert abs((x == p).all(axis=1).mean() - fraction) < 0.03


def test_batched_times_images_and_float32() -> None:
    images = np.random.default_rng(3).normal(size=(5, 4, 4, 1))
    data, schedule = FiniteData(images), LinearVP()
    x, t = images[:3].astype(np.float32), np.array([0.05, 0.5, 0.9])
    found = data.denoised(schedule, x, t)
    assert found.shape == x.shape
    assert found.dtype == np.float32
    alone = [data.denoised(schedule, x[i : i + 1], float(t[i])) for i in range(3)]
    np.testing.assert_allclose(found, np.concatenate(alone), rtol=1e-6)
    assert data.log_density(schedule, x, t).dtype == np.float32
    covariance = data.covariance(schedule, x, t)
    assert covariance.shape == (3, 16, 16)
    np.testing.assert_allclose(
        data.posterior_covariance_trace(schedule, x, t),
        np.trace(covariance, axis1=1, axis2=2),
        rtol=1e-5,
    )
    assert 0 < data.mean_posterior_variance(schedule, 0.9) < 1.2


def test_large_sets_use_fewer_draws() -> None:
    assert DATA.draws == 2**14
    large = FiniteData(np.zeros((2000, 3072)))
    assert large.draws == 2**31 // (2000 * 3072)


def test_invalid_parameters_and_undefined_quantities_are_refused() -> None:
    for points, weights in (
        (np.zeros(3), None),
        (np.zeros((0, 2)), None),
        ([[np.nan, 0.0]], None),
        (P, [1, 2]),
        (P, [1, 2, 0]),
        (P, [1, 2, np.inf]),
    ):
        with pytest.raises(InputError):
            FiniteData(points, weights)
    schedule = LinearVP()
    for call in (
        lambda: DATA.log_density(schedule, P, 0.0),
        lambda: DATA.score(schedule, P, 0.0),
        lambda: DATA.hessian(schedule, P, np.array([0.5, 0.0, 0.5])),
        lambda: DATA.flow(schedule, P, 0.0, 0.5),
    ):
        with pytest.raises(InputError, match="which is 0 at t = 0"):
            call()
    with pytest.raises(InputError, match="samples with 2 values, got 3"):
        DATA.denoised(schedule, np.zeros((1, 3)), 0.5)
    assert DATA.entropy() == -np.inf


def test_repr_names_the_parameters() -> None:
    assert repr(Gaussian([0.0, 1.0], 0.5)) == "Gaussian(mean=[0.0, 1.0], covariance=[0.5, 0.5])"
    assert repr(DATA) == "FiniteData(3 points, size=2)"
    mixture = Mixture([1, 3], [Gaussian([0.0], 1.0), Gaussian([1.0], 1.0)])
    assert repr(mixture) == "Mixture(2 Gaussians, size=1, weights=[0.25, 0.75])"
    assert repr(Gaussian(np.zeros(10), 1.0)).startswith("Gaussian(mean=<array of shape (10,)>")
