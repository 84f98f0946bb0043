"""The chains with a name: published figures and refusals; their betas are checks."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.schedules import (
    cosine_betas,
    exponential_betas,
    invariant_linear_betas,
    linear_betas,
    scaled_linear_betas,
    sigmoid_alpha_bar,
    sigmoid_betas,
    zero_snr_betas,
)

TABLES = {
    "scaled-linear": scaled_linear_betas,
    "zero-snr": zero_snr_betas,
    "sigmoid": sigmoid_alpha_bar,
    "sigmoid-betas": sigmoid_betas,
    "exponential": exponential_betas,
}


def test_published_ends_of_other_lengths() -> None:
    """Not rescaled, a short chain keeps most of its signal; rescaled, it does not."""
    for steps, left in ((10, 0.9037), (100, 0.3636), (200, 0.1322)):
        assert linear_betas(steps).alpha_bar[-1] == pytest.approx(left, abs=5e-5)
    for steps, left in ((100, 2.04e-5), (200, 3.03e-5)):
        assert invariant_linear_betas(steps).alpha_bar[-1] == pytest.approx(left, rel=2e-3)
    np.testing.assert_array_equal(invariant_linear_betas().betas, linear_betas().betas)


@pytest.mark.parametrize("steps", [1, 10, 20])
def test_a_chain_too_short_to_be_rescaled_is_refused(steps: int) -> None:
    with pytest.raises(InputError, match=f"a chain of {steps} steps is too short"):
        invariant_linear_betas(steps)
    assert invariant_linear_betas(21).betas[-1] == pytest.approx(0.952381, abs=1e-6)


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("steps", [1, 2, 13])
def test_short_chains(make, steps: int) -> None:
    if make is zero_snr_betas and steps == 1:
        steps = 3  # one step cannot keep its first row and lose its last
    table = make(steps)
    assert table.steps == steps
    assert (np.diff(table.log_snr(np.arange(steps + 1.0))) < 0).all()


@pytest.mark.parametrize("make", [*TABLES.values(), invariant_linear_betas])
@pytest.mark.parametrize("steps", [0, -3])
def test_an_empty_chain_is_refused(make, steps: int) -> None:
    with pytest.raises(InputError, match="at least one step"):
        make(steps)


def test_the_sigmoid_keeps_its_digits_near_the_data() -> None:
    """sigma^2 of the first row by the slope of the logistic function, for a very long chain."""
    table = sigmoid_alpha_bar(10**6)
    slope = 6 * np.exp(3) / (1 + np.exp(3)) ** 2 / (1 / (1 + np.exp(-3)) - 1 / (1 + np.exp(3)))
    assert table.betas[1] == pytest.approx(slope * 1e-6, rel=1e-5)


@pytest.mark.parametrize(
    ("start", "end", "tau"), [(3, -3, 1), (1, 1, 1), (-3, 3, 0), (-3, 3, -1), (np.nan, 3, 1)]
)
def test_an_impossible_sigmoid_is_refused(start: float, end: float, tau: float) -> None:
    with pytest.raises(InputError, match="expected start < end and tau > 0"):
        sigmoid_alpha_bar(10, start, end, tau)


@pytest.mark.parametrize("largest", [0.0, 1.1, np.nan, -1.0])
def test_an_impossible_clip_is_refused(largest: float) -> None:
    for make in (cosine_betas, sigmoid_alpha_bar):
        with pytest.raises(InputError, match="betas are clipped at a number in"):
            make(10, largest=largest)


def test_a_clip_of_one_ends_without_signal() -> None:
    assert cosine_betas(10, largest=1.0).alpha_bar[-1] == 0
    assert sigmoid_alpha_bar(10, largest=1.0).log_snr(10) == -np.inf


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="expected a positive rate"):
        exponential_betas(10, rate)


@pytest.mark.parametrize("make", [*TABLES.values(), invariant_linear_betas])
def test_a_chain_has_a_whole_number_of_steps(make) -> None:
    with pytest.raises(InputError, match=r"a whole number of steps, got 100\.5"):
        make(100.5)


def test_betas_whose_root_is_taken_are_positive() -> None:
    with pytest.raises(InputError, match="positive betas"):
        scaled_linear_betas(10, -0.1, 0.1)
