"""Chains of T steps against products of exact fractions and published constants."""

from fractions import Fraction

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.process import posterior_variance
from npdiff.schedules import Table, cosine_table, linear_table

# float64 values computed from the published definitions: row t, alpha-bar_t
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
}
BETA_TILDE = {
    "linear": {2: 5.453187661e-5, 501: 0.01005133578, 1000: 0.01999998353},
    "cosine": {2: 2.178949615e-5, 501: 0.003146005125, 1000: 0.9989975761},
}
TABLES = {"linear": linear_table, "cosine": cosine_table}
tables = pytest.mark.parametrize("name", TABLES)


@tables
def test_published_alpha_bar(name: str) -> None:
    table = TABLES[name]()
    for t, expected in ALPHA_BAR[name].items():
        np.testing.assert_allclose(table.alpha_bar[t], expected, rtol=3e-11)
        np.testing.assert_allclose(table.alpha(t) ** 2, expected, rtol=3e-11)


@tables
def test_published_beta_tilde(name: str) -> None:
    table = TABLES[name]()
    for t, expected in BETA_TILDE[name].items():
        np.testing.assert_allclose(posterior_variance(table, t - 1, t), expected, rtol=3e-9)


def test_published_ends() -> None:
    """The noise level sigma / alpha at both ends, and half of log-SNR at the end."""
    for table, low, high, end in (
        (linear_table(), 0.0100005, 157.40728, -5.05884),
        (cosine_table(), 0.0064254128, 20291.17, -9.91794),
    ):
        level = table.sigma([1, 1000]) / table.alpha([1, 1000])
        np.testing.assert_allclose(level, [low, high], rtol=1e-6)
        np.testing.assert_allclose(0.5 * table.log_snr(1000), end, rtol=2e-6)


@tables
def test_alpha_bar_is_the_exact_product(name: str) -> None:
    """alpha-bar and, where a float would have cancelled, 1 - alpha-bar, in rational arithmetic."""
    table, product = TABLES[name](), Fraction(1)
    for t in range(1, 1001):
        product *= 1 - Fraction(float(table.betas[t]))
        product = product.limit_denominator(10**40) if t > 30 else product
        np.testing.assert_allclose(table.alpha_bar[t], float(product), rtol=1e-12)
        np.testing.assert_allclose(table.sigma(t) ** 2, float(1 - product), rtol=1e-12)


def test_linear_betas() -> None:
    table = linear_table(5, 0.1, 0.5)
    np.testing.assert_allclose(table.betas, [0, 0.1, 0.2, 0.3, 0.4, 0.5], rtol=1e-15)
    assert table.steps == 5
    assert table.t_max == 5


def test_cosine_betas_by_their_definition() -> None:
    T, s = 1000, 0.008
    bar = np.cos((np.arange(T + 1) / T + s) / (1 + s) * np.pi / 2) ** 2
    unclipped = 1 - bar[1:] / bar[:-1]
    betas = cosine_table(T, s).betas[1:]
    np.testing.assert_allclose(betas, np.minimum(unclipped, 0.999), rtol=1e-10)
    assert (betas == 0.999).sum() == 1
    assert betas[-1] == 0.999


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_short_chains(steps: int) -> None:
    for table in (linear_table(steps), cosine_table(steps)):
        assert table.betas.shape == table.alpha_bar.shape == (steps + 1,)
        assert table.betas[0] == 0
        assert table.alpha_bar[0] == 1
        assert np.isfinite(table.log_snr(steps))


def test_between_rows_the_rate_of_decay_is_constant() -> None:
    table = Table(np.array([0.19, 0.5]))
    np.testing.assert_allclose(table.alpha(0.5), 0.81**0.25, rtol=1e-15)
    np.testing.assert_allclose(table.alpha(1.5), 0.9 * 0.5**0.25, rtol=1e-15)
    # at a row: of the step that ends there
    np.testing.assert_allclose(table.drift([0, 1, 1.5, 2]), 0.5 * np.log([0.81, 0.81, 0.5, 0.5]))


@pytest.mark.parametrize("betas", [[], [0.0, 0.1], [0.1, 1.0], [[0.1]], [np.nan], [-0.1]])
def test_impossible_betas_are_refused(betas: list[float]) -> None:
    with pytest.raises(InputError, match="betas must be"):
        Table(np.array(betas))


@tables
@pytest.mark.parametrize("steps", [0, -3])
def test_an_empty_chain_is_refused(name: str, steps: int) -> None:
    with pytest.raises(InputError, match="at least one step"):
        TABLES[name](steps)
