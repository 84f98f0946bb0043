"""Mixtures: flow, tails, samples, refusals."""

import numpy as np
import pytest
from scipy.special import ndtr

from npdiff.errors import InputError
from npdiff.exact import Gaussian, Mixture
from npdiff.random import Key
from npdiff.schedules import SCHEDULES, LinearVP, VariancePreserving

ALL = {name: SCHEDULES[name]() for name in ("linear", "cosine", "vp", "cosine-continuous")}
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)
TWO = Mixture([2, 3], [Gaussian([-1.0], 0.04), Gaussian([0.6], 0.09)])
PLANE = Mixture(
    [0.2, 0.5, 0.3],
    [
        Gaussian([1, 0], 0.1),
        Gaussian([0, 1], [0.2, 0.1]),
        Gaussian([-1, -1], 0.1 + 0.1 * np.eye(2)),
    ],
)


def test_flow_agrees_with_an_integration_in_sigma() -> None:
    """Points from sigma / alpha = 20 to 0.05, by 20 000 Runge-Kutta steps.

    The flow in x / alpha depends on sigma / alpha alone, so any schedule has these end points.
    """
    data = Mixture([0.4, 0.6], [Gaussian([-1.0], 0.04), Gaussian([0.6], 0.04)])
    start = np.array([[-1.7], [-0.9], [-0.2], [0.1], [0.5], [1.3]]) * 20
    ends = [-1.25044499, -1.01968166, 0.22903414, 0.45059494, 0.59312659, 0.80411135]
    for schedule in ALL.values():
        t, s = (float(schedule.time_at(-2 * np.log(level))) for level in (20, 0.05))
        end = data.flow(schedule, start * schedule.alpha(t), t, s) / schedule.alpha(s)
        np.testing.assert_allclose(end[:, 0], ends, atol=2e-8)


@everywhere
def test_flow_is_inverted_by_the_flow_back(schedule) -> None:
    x = np.linspace(-1.6, 1.5, 9).reshape(9, 1, 1)
    there = TWO.flow(schedule, x, 0.0, 0.5 * schedule.t_max)
    assert there.shape == x.shape
    np.testing.assert_allclose(TWO.flow(schedule, there, 0.5 * schedule.t_max, 0.0), x, atol=1e-9)
    assert TWO.flow(schedule, x.astype(np.float32), 0.0, schedule.t_max).dtype == np.float32


def test_flow_is_accurate_in_the_tails() -> None:
    """Far out on either side the flow is that of the nearer component."""
    schedule = LinearVP()
    far = Mixture([0.5, 0.5], [Gaussian([-1.0], 0.04), Gaussian([1.0], 0.04)])
    x = np.array([[-2.8], [2.8]])  # nine deviations, where 1 - F is 0 in float64
    there = far.flow(schedule, x, 0.0, 0.05)
    for i, mean in enumerate((-1.0, 1.0)):
        alone = Gaussian([mean], 0.04).flow(schedule, x[i : i + 1], 0.0, 0.05)
        np.testing.assert_allclose(there[i], alone[0], rtol=1e-6)


def test_samples_follow_the_distribution_function() -> None:
    M = 20_000
    x = np.sort(TWO.sample(Key(3, range(M)))[:, 0])
    F = 0.4 * ndtr((x + 1) / 0.2) + 0.6 * ndtr((x - 0.6) / 0.3)
    assert np.abs(F - (np.arange(M) + 0.5) / M).max() < 1.95 / np.sqrt(M)


def test_samples_in_the_plane_have_the_mean() -> None:
    M = 20_000
    x = PLANE.sample(Key(4, range(M)))
    mean = 0.2 * np.array([1, 0]) + 0.5 * np.array([0, 1]) + 0.3 * np.array([-1, -1])
    assert x.shape == (M, 2)
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=5 / np.sqrt(M))


@everywhere
def test_responsibilities_sum_to_one_and_find_the_component(schedule) -> None:
    x = np.random.default_rng(5).normal(size=(4, 2))
    r = PLANE.responsibilities(schedule, x, schedule.t_min)
    np.testing.assert_allclose(r.sum(axis=1), 1, rtol=1e-12)
    centers = np.array([[1.0, 0], [0, 1], [-1, -1]])
    assert (
        PLANE.responsibilities(schedule, centers, schedule.t_min).argmax(axis=1) == range(3)
    ).all()


@everywhere
def test_mixture_of_one_component_equals_the_gaussian(schedule) -> None:
    data, x = Gaussian([0.4, 0.2], 0.3), np.random.default_rng(6).normal(size=(4, 2))
    t = np.array([0.1, 0.4, 0.7, 1.0]) * schedule.t_max
    one = Mixture([7.0], [data])
    np.testing.assert_allclose(
        one.denoised(schedule, x, t), data.denoised(schedule, x, t), rtol=1e-12
    )
    np.testing.assert_allclose(
        one.log_density(schedule, x, t), data.log_density(schedule, x, t), rtol=1e-12
    )


def test_float32_is_kept() -> None:
    schedule: VariancePreserving = LinearVP()
    x = np.ones((2, 1, 2), dtype=np.float32)
    assert PLANE.denoised(schedule, x, 0.5).dtype == np.float32
    assert PLANE.log_density(schedule, x, np.array([0.5, 0.6])).dtype == np.float32
    assert PLANE.responsibilities(schedule, x, 0.5).dtype == np.float32


def test_points_beyond_float64_and_nan_are_refused() -> None:
    """Forty standard deviations out the tail is 0 in float64."""
    for x in (-60.0, 60.0, np.nan):
        with pytest.raises(
            InputError, match="a point must be a number with a positive probability on both sides"
        ):
            TWO.flow(LinearVP(), np.array([[0.1], [x]]), 1.0, 0.5)


def test_invalid_parameters_are_refused() -> None:
    one = Gaussian([0.0], 1.0)
    for weights, components in (([1.0], [one, one]), ([1.0, 0.0], [one, one]), ([], [])):
        with pytest.raises(InputError):
            Mixture(weights, components)
    with pytest.raises(InputError, match="the same dimension, got"):
        Mixture([1, 1], [one, Gaussian([0, 0], 1.0)])


def test_entropy_and_posterior_variance_by_sampling_in_three_dimensions() -> None:
    """The third dimension is independent: quadrature in the plane gives the expected values."""
    space = Mixture(
        [0.2, 0.8], [Gaussian([1, 0, 0], [0.1, 0.1, 0.3]), Gaussian([-1, -1, 0], [0.2, 0.3, 0.3])]
    )
    plane = Mixture([0.2, 0.8], [Gaussian([1, 0], 0.1), Gaussian([-1, -1], [0.2, 0.3])])
    third, schedule = Gaussian([0.0], 0.3), LinearVP()
    entropy = plane.entropy() + third.entropy()
    assert abs(space.entropy() - entropy) < 0.03
    expected = (
        2 * plane.mean_posterior_variance(schedule, 0.3)
        + third.mean_posterior_variance(schedule, 0.3)
    ) / 3
    assert abs(space.mean_posterior_variance(schedule, 0.3) / expected - 1) < 0.03
