"""Discrete schedules against products of exact fractions and published constants."""

from fractions import Fraction

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.process import posterior_variance
from npdiff.schedules import (
    DiscreteSchedule,
    cosine_betas,
    linear_betas,
    scaled_linear_betas,
    zero_terminal_snr,
)

# float64 values computed from the published definitions: t, alpha-bar_t
ALPHA_BAR = {
    "linear": {
        1: 0.9999,
        2: 0.999780092072,
        500: 0.0785872428818,
        999: 4.11819363814e-5,
        1000: 4.03582976538e-5,
    },
    "cosine": {
        1: 0.999958715775,
        2: 0.999912575927,
        500: 0.493843590441,
        999: 2.42876690703e-6,
        1000: 2.42876690703e-9,
    },
    "scaled-linear": {
        1: 0.99915,
        2: 0.998296027838,
        500: 0.277669650456,
        999: 0.00471669889988,
        1000: 0.00466009851308,
    },
    "latent": {
        1: 0.9985,
        2: 0.99699442707,
        500: 0.11584449081,
        999: 1.45134089946e-4,
        1000: 1.42303975192e-4,
    },
}
BETA_TILDE = {
    "linear": {2: 5.453187661e-5, 501: 0.01005133578, 1000: 0.01999998353},
    "cosine": {2: 2.178949615e-5, 501: 0.003146005125, 1000: 0.9989975761},
    "scaled-linear": {2: 4.263531256e-4, 501: 0.004806058572, 1000: 0.01199931762},
    "latent": {},
}


def latent_betas(steps: int = 1000) -> DiscreteSchedule:
    """The first latent diffusion's betas."""
    return scaled_linear_betas(steps, first=0.0015, last=0.0195)


FACTORIES = {
    "linear": linear_betas,
    "cosine": cosine_betas,
    "scaled-linear": scaled_linear_betas,
    "latent": latent_betas,
}
factories = pytest.mark.parametrize("name", FACTORIES)


@factories
def test_published_alpha_bar(name: str) -> None:
    schedule = FACTORIES[name]()
    for t, expected in ALPHA_BAR[name].items():
        np.testing.assert_allclose(schedule.alpha_bar[t], expected, rtol=3e-11)
        np.testing.assert_allclose(schedule.alpha(t) ** 2, expected, rtol=3e-11)


@factories
def test_published_beta_tilde(name: str) -> None:
    schedule = FACTORIES[name]()
    for t, expected in BETA_TILDE[name].items():
        np.testing.assert_allclose(posterior_variance(schedule, t - 1, t), expected, rtol=3e-9)


def test_published_noise_levels() -> None:
    """sigma / alpha at both ends, and half of log-SNR at T."""
    for schedule, low, high, end in (
        (linear_betas(), 0.0100005, 157.40728, -5.05884),
        (cosine_betas(), 0.0064254128, 20291.17, -9.91794),
        (scaled_linear_betas(), 0.029167158, 14.614641, -2.68202),
        (latent_betas(), 0.038758914, 83.822494, -4.4287),
    ):
        level = schedule.sigma([1, 1000]) / schedule.alpha([1, 1000])
        np.testing.assert_allclose(level, [low, high], rtol=1e-6)
        np.testing.assert_allclose(0.5 * schedule.log_snr(1000), end, rtol=3e-6)
    last = [-5.0778, -5.3654, -5.7709, -6.4641, -9.9179]
    halves = 0.5 * cosine_betas().log_snr(np.arange(996, 1001))
    np.testing.assert_allclose(halves, last, atol=5e-5)


@factories
def test_alpha_bar_equals_the_exact_product(name: str) -> None:
    """alpha-bar and 1 - alpha-bar, which floats would cancel, in rational arithmetic."""
    schedule, product = FACTORIES[name](), Fraction(1)
    for t in range(1, 1001):
        product *= 1 - Fraction(float(schedule.betas[t]))
        product = product.limit_denominator(10**40) if t > 30 else product
        np.testing.assert_allclose(schedule.alpha_bar[t], float(product), rtol=1e-12)
        np.testing.assert_allclose(schedule.sigma(t) ** 2, float(1 - product), rtol=1e-12)


def test_linear_betas_are_evenly_spaced() -> None:
    schedule = linear_betas(5, 0.1, 0.5)
    np.testing.assert_allclose(schedule.betas, [0, 0.1, 0.2, 0.3, 0.4, 0.5], rtol=1e-15)
    assert schedule.steps == 5
    assert schedule.t_max == 5


def test_cosine_betas_equal_their_definition() -> None:
    T, s = 1000, 0.008
    bar = np.cos((np.arange(T + 1) / T + s) / (1 + s) * np.pi / 2) ** 2
    unclipped = 1 - bar[1:] / bar[:-1]
    betas = cosine_betas(T, s).betas[1:]
    np.testing.assert_allclose(betas, np.minimum(unclipped, 0.999), rtol=1e-10)
    assert (betas == 0.999).sum() == 1
    assert betas[-1] == 0.999


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_discrete_schedules_of_few_steps_are_valid(steps: int) -> None:
    for schedule in (linear_betas(steps), cosine_betas(steps)):
        assert schedule.betas.shape == schedule.alpha_bar.shape == (steps + 1,)
        assert schedule.betas[0] == 0
        assert schedule.alpha_bar[0] == 1
        assert np.isfinite(schedule.log_snr(steps))


def test_log_alpha_is_linear_between_whole_times() -> None:
    schedule = DiscreteSchedule(np.array([0.19, 0.5]))
    np.testing.assert_allclose(schedule.alpha(0.5), 0.81**0.25, rtol=1e-15)
    np.testing.assert_allclose(schedule.alpha(1.5), 0.9 * 0.5**0.25, rtol=1e-15)
    # at a whole time: of the step that ends there
    np.testing.assert_allclose(schedule.drift([0, 1, 1.5, 2]), 0.5 * np.log([0.81, 0.81, 0.5, 0.5]))


@pytest.mark.parametrize(
    "betas", [[], [0.0, 0.1], [1.0, 0.1], [0.1, 1.1], [[0.1]], [np.nan], [-0.1], [0.1, np.nan]]
)
def test_betas_out_of_range_are_rejected(betas: list[float]) -> None:
    with pytest.raises(InputError, match="betas must be"):
        DiscreteSchedule(np.array(betas))


def test_published_zero_terminal_snr() -> None:
    schedule = zero_terminal_snr(scaled_linear_betas())
    np.testing.assert_allclose(schedule.alpha_bar[500], 0.24235916655614523, rtol=1e-13)
    np.testing.assert_allclose(schedule.alpha_bar[999], 1.96788805662e-7, rtol=1e-11)
    assert schedule.alpha_bar[1000] == 0
    assert schedule.betas[1000] == 1
    assert schedule.betas[1] == scaled_linear_betas().betas[1]


def test_zero_terminal_snr_is_idempotent() -> None:
    schedule = zero_terminal_snr(scaled_linear_betas(50))
    np.testing.assert_allclose(zero_terminal_snr(schedule).betas, schedule.betas, rtol=1e-12)


def test_zero_terminal_snr_needs_two_steps() -> None:
    assert zero_terminal_snr(linear_betas(2)).betas.tolist() == [0, 1e-4, 1]
    with pytest.raises(InputError, match="two steps or more"):
        zero_terminal_snr(linear_betas(1))


def test_alpha_is_linear_in_a_last_step_with_beta_one() -> None:
    """alpha falls linearly to 0 within it; up to T - 1 nothing changes."""
    schedule, usual = (
        DiscreteSchedule(np.array([0.19, 0.36, 1.0])),
        DiscreteSchedule(np.array([0.19, 0.36, 0.5])),
    )
    np.testing.assert_allclose(schedule.alpha([2, 2.25, 2.5, 3]), [0.72, 0.54, 0.36, 0], atol=1e-16)
    np.testing.assert_allclose(schedule.alpha_dot([2.25, 2.999, 3]), -0.72, rtol=1e-12)
    np.testing.assert_allclose(schedule.drift([2.5, 3]), [-2, -np.inf])
    t = np.linspace(0, 2, 41)
    for method in ("log_alpha", "log_sigma", "log_alpha_dot", "log_sigma_dot", "alpha_dot"):
        np.testing.assert_array_equal(getattr(schedule, method)(t), getattr(usual, method)(t))
    one = DiscreteSchedule(np.array([1.0]))
    np.testing.assert_array_equal(one.alpha([0, 0.5, 1]), [1, 0.5, 0])
    assert one.log_snr(1) == -np.inf


@factories
@pytest.mark.parametrize("steps", [0, -3])
def test_fewer_than_one_step_is_rejected(name: str, steps: int) -> None:
    with pytest.raises(InputError, match="steps must be at least 1"):
        FACTORIES[name](steps)
