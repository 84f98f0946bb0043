"""The straight path and its shift."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.schedules import RectifiedFlow, shifted_flow


def test_the_straight_path() -> None:
    flow, t = RectifiedFlow(), np.linspace(0, 1, 11)
    np.testing.assert_array_equal(flow.alpha(t), 1 - t)
    np.testing.assert_array_equal(flow.sigma(t), t)
    np.testing.assert_array_equal(flow.alpha_dot(t), -1)
    np.testing.assert_array_equal(flow.sigma_dot(t), 1)


def test_published_shift() -> None:
    """The least noise of 1000 steps, 1/1000, shifted by 3; and what comes of shifting it twice."""
    once = float(shifted_flow().sigma(0.001))
    assert once == pytest.approx(0.002994, abs=5e-7)
    assert shifted_flow().sigma(once) == pytest.approx(0.008929, abs=5e-7)


def test_one_network_serves_every_shift() -> None:
    """What it is told is the noise, not the time."""
    inference_network, shifted = RectifiedFlow(), RectifiedFlow(shift=2.5)
    t = np.linspace(0, 1, 9)
    np.testing.assert_allclose(
        shifted.timestep(t), inference_network.timestep(shifted.sigma(t)), rtol=1e-15
    )


def test_both_ends_keep_their_digits() -> None:
    flow = RectifiedFlow(shift=3.0)
    t = np.array([1e-12, 1e-6])
    np.testing.assert_allclose(flow.log_alpha(t), -3 * t + 1.5 * t**2, rtol=1e-11)
    np.testing.assert_allclose(flow.log_alpha(1 - 2.0**-40), np.log(2.0**-40 / 3), rtol=1e-12)


@pytest.mark.parametrize("shift", [0.0, -1.0, np.nan, np.inf])
def test_an_impossible_shift_is_refused(shift: float) -> None:
    with pytest.raises(InputError, match="a shift is a positive number"):
        RectifiedFlow(shift)
