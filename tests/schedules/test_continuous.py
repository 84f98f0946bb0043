"""Schedules in continuous time against quadrature, series and published constants."""

import numpy as np
import pytest
from scipy.integrate import quad

from npdiff.errors import InputError
from npdiff.schedules import (
    Cosine,
    LinearVP,
    SubVP,
    VariancePreserving,
    cosine_betas,
    exponential_betas,
    invariant_linear_betas,
)


def test_linear_vp_published_values() -> None:
    schedule = LinearVP()
    np.testing.assert_allclose(schedule.alpha(0.5), 0.28118288, rtol=3e-8)
    np.testing.assert_allclose(schedule.sigma(0.5), 0.95965420, rtol=3e-8)
    np.testing.assert_allclose(schedule.alpha(1), 0.00657158649, rtol=1e-9)


@pytest.mark.parametrize("t", [0.01, 0.3, 0.77, 1.0])
def test_linear_vp_equals_the_integral_of_beta(t: float) -> None:
    integral, _ = quad(lambda u: 0.1 + u * (20 - 0.1), 0, t, epsabs=1e-13)
    np.testing.assert_allclose(LinearVP().alpha(t), np.exp(-0.5 * integral), rtol=1e-12)


@pytest.mark.parametrize("t", [1e-3, 0.25, 0.5, 0.99, 1.0])
def test_cosine_equals_its_definition(t: float) -> None:
    angle = np.array([0.9946 * t + 0.008, 0.008]) / 1.008 * np.pi / 2
    expected = np.cos(angle[0]) / np.cos(angle[1])
    np.testing.assert_allclose(Cosine().alpha(t), expected, rtol=1e-12)


@pytest.mark.parametrize("t", [1e-12, 1e-9, 1e-6])
def test_cosine_is_accurate_near_the_data(t: float) -> None:
    """sigma^2 by the Taylor series of 1 - cos^2 to second order."""
    a, b = np.pi / 2 * 0.008 / 1.008, np.pi / 2 * 0.9946 * t / 1.008
    series = 2 * np.tan(a) * b + (1 - np.tan(a) ** 2) * b**2
    np.testing.assert_allclose(Cosine().sigma(t) ** 2, series, rtol=1e-9)


def test_cosine_without_offset_is_a_quarter_turn() -> None:
    t = np.linspace(0.01, 1, 9)
    np.testing.assert_allclose(Cosine(s=0.0).sigma(t), np.sin(np.pi / 2 * 0.9946 * t), rtol=1e-12)


def test_discrete_schedules_converge_to_continuous_ones() -> None:
    """The difference is O(1 / T)."""
    t = np.array([0.1, 0.5, 0.9])
    for discrete, continuous in (
        (invariant_linear_betas, LinearVP()),
        (exponential_betas, LinearVP(12.0, 12.0)),
        (cosine_betas, Cosine(end=1 - 1e-12)),
    ):
        errors = [
            np.abs(discrete(T).log_snr(t * T) - continuous.log_snr(t)).max() for T in (500, 4000)
        ]
        assert errors[1] < 0.02
        assert errors[1] < errors[0] / 4 or errors[1] < 1e-9


def test_sub_vp_has_less_noise_than_vp_and_the_same_signal() -> None:
    t = np.linspace(0.01, 1, 50)
    sub, vp = SubVP(), LinearVP()
    np.testing.assert_array_equal(sub.alpha(t), vp.alpha(t))
    assert (sub.sigma(t) < vp.sigma(t)).all()
    assert not isinstance(sub, VariancePreserving)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (np.nan, 1.0)])
def test_betas_out_of_range_are_rejected(low: float, high: float) -> None:
    with pytest.raises(InputError, match="beta_min <= beta_max"):
        LinearVP(low, high)
    with pytest.raises(InputError, match="beta_min <= beta_max"):
        SubVP(low, high)


@pytest.mark.parametrize(("s", "end"), [(-0.1, 0.9), (0.008, 1.0), (0.008, 0.0)])
def test_cosine_options_out_of_range_are_rejected(s: float, end: float) -> None:
    with pytest.raises(InputError, match="0 < end < 1"):
        Cosine(s, end)
