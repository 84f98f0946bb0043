"""Variance-exploding schedules: their ends, timesteps and rejected options."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.schedules import EDM, VE


def test_ve_variance_is_the_noise_added_since_the_data() -> None:
    """The squares of the paper's sigma and of this one differ by sigma_min^2."""
    schedule, t = VE(), np.linspace(0.1, 1, 10)
    legacy = 0.01 * 5000**t
    np.testing.assert_allclose(schedule.sigma(t) ** 2 + 0.01**2, legacy**2, rtol=1e-12)
    assert schedule.sigma(schedule.t_min) == pytest.approx(0.01, rel=1e-13)
    assert schedule.sigma(1) == pytest.approx(50, rel=1e-7)
    assert schedule.t_min == pytest.approx(0.0406910566)


def test_edm_time_is_sigma() -> None:
    schedule, t = EDM(), np.array([0, 0.002, 0.5, 80])
    np.testing.assert_array_equal(schedule.sigma(t), t)
    np.testing.assert_array_equal(schedule.sigma_dot(t), 1)
    np.testing.assert_array_equal(schedule.alpha(t), 1)
    np.testing.assert_array_equal(schedule.drift(t), 0)
    assert (schedule.t_min, schedule.t_max) == (0.002, 80)


@pytest.mark.parametrize("make", [EDM, VE])
def test_timestep_is_nearly_linear_in_log_noise(make) -> None:
    schedule = make()
    level = schedule.sigma(schedule.t_min) * np.array([20, 40, 80, 160])
    strides = np.diff(schedule.timestep(schedule.time_at(-2 * np.log(level))))
    np.testing.assert_allclose(strides, strides[-1], rtol=0.05)
    assert strides[0] > 30


@pytest.mark.parametrize(("low", "high"), [(0, 1), (2, 1), (-1, 1), (np.nan, 1), (1, np.inf)])
def test_noise_scales_out_of_range_are_rejected(low: float, high: float) -> None:
    with pytest.raises(InputError, match="expected 0 <"):
        VE(low, high)
    with pytest.raises(InputError, match="expected 0 < sigma_min < sigma_max"):
        EDM(sigma_max=high, sigma_min=low)
    with pytest.raises(InputError, match=r"sqrt\(2\) sigma_min"):
        VE(1.0, 1.4)
