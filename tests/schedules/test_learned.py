"""A schedule made of a curve: its beginning and its refusals; its values are a check."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.schedules import Learned


def cubic(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return -9 + 4 * u + 12 * u**3, 4 + 36 * u**2


def test_the_curve_runs_from_the_first_noise_to_the_end() -> None:
    schedule = Learned(cubic)
    np.testing.assert_allclose(schedule.log_snr([schedule.t_min, 1.0]), [9, -7], rtol=1e-12)
    assert Learned().log_snr(1e-3) == pytest.approx(13.3)
    assert Learned().log_snr(1.0) == pytest.approx(-5)


def test_the_way_from_the_data_to_the_curve() -> None:
    """log alpha is linear and meets the curve without a jump."""
    schedule = Learned(cubic)
    first = schedule.log_alpha(1e-3)
    np.testing.assert_allclose(schedule.log_alpha([2.5e-4, 5e-4]), [first / 4, first / 2])
    np.testing.assert_allclose(schedule.log_alpha_dot(7e-4), first / 1e-3)
    np.testing.assert_allclose(schedule.log_alpha(1e-3 - 1e-15), first, rtol=1e-10)


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (lambda u: (1 - u, -np.ones_like(u)), "to increase"),
        (lambda u: (np.zeros_like(u), np.ones_like(u)), "to increase"),
        (lambda u: (np.where(u < 0.5, u, np.nan), np.ones_like(u)), "has to be finite"),
        (lambda u: (np.log(u + 0.0 * u), 1 / (u + 1e-9)), "has to be finite"),
        (lambda u: (u, -np.ones_like(u)), "derivative of gamma has to be positive"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_curve_that_does_not_increase_is_refused(curve, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Learned(curve)
