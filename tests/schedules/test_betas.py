"""Schedules given by betas: published values and rejected options; equations are in the checks."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.schedules import (
    cosine_betas,
    exponential_betas,
    invariant_linear_betas,
    linear_betas,
    scaled_linear_betas,
    sigmoid_alpha_bar_betas,
    sigmoid_betas,
    zero_snr_betas,
)

FACTORIES = {
    "scaled-linear": scaled_linear_betas,
    "zero-snr": zero_snr_betas,
    "sigmoid": sigmoid_alpha_bar_betas,
    "sigmoid-betas": sigmoid_betas,
    "exponential": exponential_betas,
}


def test_published_alpha_bar_at_the_end_for_other_lengths() -> None:
    """With few steps much signal is left at T, unless betas are rescaled by 1000 / T."""
    for steps, left in ((10, 0.9037), (100, 0.3636), (200, 0.1322)):
        assert linear_betas(steps).alpha_bar[-1] == pytest.approx(left, abs=5e-5)
    for steps, left in ((100, 2.04e-5), (200, 3.03e-5)):
        assert invariant_linear_betas(steps).alpha_bar[-1] == pytest.approx(left, rel=2e-3)
    np.testing.assert_array_equal(invariant_linear_betas().betas, linear_betas().betas)


@pytest.mark.parametrize("steps", [1, 10, 20])
def test_too_few_steps_to_rescale_are_rejected(steps: int) -> None:
    with pytest.raises(InputError, match=f"{steps} steps are too few"):
        invariant_linear_betas(steps)
    assert invariant_linear_betas(21).betas[-1] == pytest.approx(0.952381, abs=1e-6)


@pytest.mark.parametrize("make", FACTORIES.values(), ids=FACTORIES)
@pytest.mark.parametrize("steps", [1, 2, 13])
def test_log_snr_decreases_for_few_steps(make, steps: int) -> None:
    if make is zero_snr_betas and steps == 1:
        steps = 3  # zero terminal SNR needs two steps or more
    schedule = make(steps)
    assert schedule.steps == steps
    assert (np.diff(schedule.log_snr(np.arange(steps + 1.0))) < 0).all()


@pytest.mark.parametrize("make", [*FACTORIES.values(), invariant_linear_betas])
@pytest.mark.parametrize("steps", [0, -3])
def test_fewer_than_one_step_is_rejected(make, steps: int) -> None:
    with pytest.raises(InputError, match="steps must be at least 1"):
        make(steps)


def test_sigmoid_alpha_bar_is_accurate_near_the_data() -> None:
    """sigma^2 at t = 1 against the slope of the logistic function, for T = 1e6."""
    schedule = sigmoid_alpha_bar_betas(10**6)
    slope = 6 * np.exp(3) / (1 + np.exp(3)) ** 2 / (1 / (1 + np.exp(-3)) - 1 / (1 + np.exp(3)))
    assert schedule.betas[1] == pytest.approx(slope * 1e-6, rel=1e-5)


@pytest.mark.parametrize(
    ("start", "end", "tau"), [(3, -3, 1), (1, 1, 1), (-3, 3, 0), (-3, 3, -1), (np.nan, 3, 1)]
)
def test_sigmoid_options_out_of_range_are_rejected(start: float, end: float, tau: float) -> None:
    with pytest.raises(InputError, match="expected start < end and tau > 0"):
        sigmoid_alpha_bar_betas(10, start, end, tau)


@pytest.mark.parametrize("largest", [0.0, 1.1, np.nan, -1.0])
def test_largest_beta_out_of_range_is_rejected(largest: float) -> None:
    for make in (cosine_betas, sigmoid_alpha_bar_betas):
        with pytest.raises(InputError, match="must lie in"):
            make(10, largest=largest)


def test_largest_beta_of_one_leaves_no_signal() -> None:
    assert cosine_betas(10, largest=1.0).alpha_bar[-1] == 0
    assert sigmoid_alpha_bar_betas(10, largest=1.0).log_snr(10) == -np.inf


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf])
def test_rate_out_of_range_is_rejected(rate: float) -> None:
    with pytest.raises(InputError, match="rate must be positive"):
        exponential_betas(10, rate)


@pytest.mark.parametrize("make", [*FACTORIES.values(), invariant_linear_betas])
def test_fractional_steps_are_rejected(make) -> None:
    with pytest.raises(InputError, match=r"steps must be an integer, got 100\.5"):
        make(100.5)


def test_scaled_linear_rejects_betas_that_are_not_positive() -> None:
    with pytest.raises(InputError, match="positive betas"):
        scaled_linear_betas(10, -0.1, 0.1)
