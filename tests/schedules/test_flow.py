"""Rectified flow and its shift."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.schedules import RectifiedFlow, shifted_flow


def test_alpha_and_sigma_are_linear() -> None:
    flow, t = RectifiedFlow(), np.linspace(0, 1, 11)
    np.testing.assert_array_equal(flow.alpha(t), 1 - t)
    np.testing.assert_array_equal(flow.sigma(t), t)
    np.testing.assert_array_equal(flow.alpha_dot(t), -1)
    np.testing.assert_array_equal(flow.sigma_dot(t), 1)


def test_published_shifted_noise_scales() -> None:
    """sigma = 1/1000 shifted by 3, once and twice."""
    once = float(shifted_flow().sigma(0.001))
    assert once == pytest.approx(0.002994, abs=5e-7)
    assert shifted_flow().sigma(once) == pytest.approx(0.008929, abs=5e-7)


def test_timestep_depends_on_sigma_alone() -> None:
    """So one network serves every shift."""
    plain, shifted = RectifiedFlow(), RectifiedFlow(shift=2.5)
    t = np.linspace(0, 1, 9)
    np.testing.assert_allclose(shifted.timestep(t), plain.timestep(shifted.sigma(t)), rtol=1e-15)


def test_log_alpha_is_accurate_at_both_ends() -> None:
    flow = RectifiedFlow(shift=3.0)
    t = np.array([1e-12, 1e-6])
    np.testing.assert_allclose(flow.log_alpha(t), -3 * t + 1.5 * t**2, rtol=1e-11)
    np.testing.assert_allclose(flow.log_alpha(1 - 2.0**-40), np.log(2.0**-40 / 3), rtol=1e-12)


@pytest.mark.parametrize("shift", [0.0, -1.0, np.nan, np.inf])
def test_shift_out_of_range_is_rejected(shift: float) -> None:
    with pytest.raises(InputError, match="shift must be positive"):
        RectifiedFlow(shift)
