"""Learned schedules: their beginning and rejected curves; their values are in the checks."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.schedules import Learned


def cubic(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return -9 + 4 * u + 12 * u**3, 4 + 36 * u**2


def test_curve_covers_t_min_to_t_max() -> None:
    schedule = Learned(cubic)
    np.testing.assert_allclose(schedule.log_snr([schedule.t_min, 1.0]), [9, -7], rtol=1e-12)
    assert Learned().log_snr(1e-3) == pytest.approx(13.3)
    assert Learned().log_snr(1.0) == pytest.approx(-5)


def test_log_alpha_is_linear_below_t_min() -> None:
    """It meets the curve without a jump."""
    schedule = Learned(cubic)
    first = schedule.log_alpha(1e-3)
    np.testing.assert_allclose(schedule.log_alpha([2.5e-4, 5e-4]), [first / 4, first / 2])
    np.testing.assert_allclose(schedule.log_alpha_dot(7e-4), first / 1e-3)
    np.testing.assert_allclose(schedule.log_alpha(1e-3 - 1e-15), first, rtol=1e-10)


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (lambda u: (1 - u, -np.ones_like(u)), "finite and increasing"),
        (lambda u: (np.zeros_like(u), np.ones_like(u)), "finite and increasing"),
        (lambda u: (np.where(u < 0.5, u, np.nan), np.ones_like(u)), "finite and increasing"),
        (lambda u: (np.log(u + 0.0 * u), 1 / (u + 1e-9)), "finite and increasing"),
        (lambda u: (u, -np.ones_like(u)), "derivative of gamma .* a smallest value of -1"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_curves_that_do_not_increase_are_rejected(curve, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Learned(curve)
