"""The Laplace schedule: its ends and rejected options; its distribution is in the checks."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.schedules import Laplace


def test_median_and_quartiles_of_log_snr() -> None:
    """The median is at t = 1/2; the quartiles lie b log 2 from it."""
    schedule = Laplace()
    t = np.array([0.25, 0.5, 0.75])
    np.testing.assert_allclose(schedule.log_snr(t), [0.34657359, 0, -0.34657359], atol=5e-9)


@pytest.mark.parametrize(("mean", "scale", "reach"), [(0, 0.5, 10), (1.5, 2, 8), (-1, 1, 12)])
def test_log_snr_at_the_ends_is_mean_plus_and_minus_reach(
    mean: float, scale: float, reach: float
) -> None:
    schedule = Laplace(mean, scale, reach)
    ends = schedule.log_snr([schedule.t_min, schedule.t_max])
    np.testing.assert_allclose(ends, [mean + reach, mean - reach], rtol=1e-6)


def test_drift_at_the_data() -> None:
    """Infinite, finite or zero, depending on the scale of the tail."""
    assert Laplace(scale=0.5).drift(0) == -np.inf
    assert Laplace(mean=0.3, scale=1.0).drift(0) == pytest.approx(-np.exp(-0.3))
    assert Laplace(scale=1.5).drift(0) == 0


def test_timestep_is_nearly_linear_in_log_snr() -> None:
    schedule = Laplace()
    ticks = np.diff(schedule.timestep(schedule.time_at(np.array([6.0, 4, 2, 0, -2, -4]))))
    np.testing.assert_allclose(ticks, ticks[-1], rtol=0.15)


@pytest.mark.parametrize(
    ("scale", "reach"), [(0.0, 10), (-1.0, 10), (0.5, 0), (0.5, -1), (0.1, 10), (np.nan, 10)]
)
def test_tails_out_of_range_are_rejected(scale: float, reach: float) -> None:
    with pytest.raises(InputError, match=r"expected 0 < scale and 0 < reach < 27 \* scale"):
        Laplace(0.0, scale, reach)
