"""The forward process against Bayes' rule on a grid and compositions of one-step kernels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from npdiff.errors import InputError
from npdiff.process import marginal, posterior_mean, posterior_variance, transition
from npdiff.schedules import SCHEDULES, DiscreteSchedule, cosine_betas, linear_betas

DISCRETE = {"linear": linear_betas(), "cosine": cosine_betas()}
ALL = {name: SCHEDULES[name]() for name in ("linear", "cosine", "vp", "cosine-continuous")}
PARTS = ((0.0, 0.001), (0.001, 0.002), (0.1, 0.3), (0.499, 0.5), (0.2, 1.0), (0.9, 0.901))
discrete = pytest.mark.parametrize("schedule", DISCRETE.values(), ids=DISCRETE)
everywhere = pytest.mark.parametrize("name", ALL)
spans = pytest.mark.parametrize("span", PARTS)


def composed(schedule: DiscreteSchedule, s: int, t: int) -> tuple[float, float]:
    """q(x_t | x_s) by applying x <- sqrt(1 - beta) x + sqrt(beta) z, one step after the other."""
    factor, variance = 1.0, 0.0
    for beta in schedule.betas[s + 1 : t + 1]:
        factor *= np.sqrt(1 - beta)
        variance = (1 - beta) * variance + beta
    return factor, variance


@discrete
def test_marginal_equals_t_one_step_kernels(schedule: DiscreteSchedule) -> None:
    ones, zeros = np.ones((1, 1)), np.zeros((1, 1))
    for t in (1, 2, 3, 10, 250, 999, 1000):
        factor, variance = composed(schedule, 0, t)
        np.testing.assert_allclose(marginal(schedule, ones, zeros, t), factor, rtol=1e-12)
        np.testing.assert_allclose(
            marginal(schedule, zeros, ones, t), np.sqrt(variance), rtol=1e-12
        )


@discrete
def test_transition_equals_the_composition_of_its_steps(schedule: DiscreteSchedule) -> None:
    for s, t in ((0, 1), (0, 7), (1, 2), (3, 40), (499, 500), (20, 1000), (998, 999), (999, 1000)):
        np.testing.assert_allclose(transition(schedule, s, t), composed(schedule, s, t), rtol=1e-10)


@pytest.mark.parametrize("name", ["vp", "cosine-continuous"])
def test_transition_solves_the_sde(name: str) -> None:
    """Its variance is the integral of g(u)^2 (alpha_t / alpha_u)^2."""
    schedule = ALL[name]
    for s, t in ((0.001, 0.01), (0.1, 0.4), (0.5, 0.99)):
        factor, variance = transition(schedule, s, t)
        integral, _ = quad(schedule.drift, s, t, epsabs=1e-13)
        np.testing.assert_allclose(factor, np.exp(integral), rtol=1e-9)

        def damped(u: float, t: float = t) -> float:
            return float(schedule.diffusion(u) * (schedule.alpha(t) / schedule.alpha(u)) ** 2)

        np.testing.assert_allclose(variance, quad(damped, s, t, epsabs=1e-13)[0], rtol=1e-8)


@everywhere
@spans
def test_posterior_equals_bayes_rule_on_a_grid(name: str, span: tuple[float, float]) -> None:
    schedule = ALL[name]
    s, t = (part * schedule.t_max for part in span)
    x_0, x_t = np.array([[0.7]]), np.array([[-0.4]])
    mean, variance = posterior_mean(schedule, x_0, x_t, s, t), posterior_variance(schedule, s, t)
    if s == 0:
        assert variance == 0
        np.testing.assert_allclose(mean, x_0, rtol=1e-15)
        return
    factor, noise = transition(schedule, s, t)
    prior, sigma = schedule.alpha(s) * 0.7, schedule.sigma(s)
    x_s = np.linspace(mean[0, 0] - 12 * sigma, mean[0, 0] + 12 * sigma, 40_001)
    log_joint = -((x_s - prior) ** 2) / (2 * sigma**2) - (-0.4 - factor * x_s) ** 2 / (2 * noise)
    density = np.exp(log_joint - log_joint.max())
    density /= density.sum()
    expected = (density * x_s).sum()
    np.testing.assert_allclose(mean[0, 0], expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(variance, (density * (x_s - expected) ** 2).sum(), rtol=1e-6)


@discrete
def test_posterior_equals_ddpm_formulas(schedule: DiscreteSchedule) -> None:
    rng = np.random.default_rng(0)
    x_0, x_t = rng.normal(size=(2, 5, 3))
    for t in (1, 2, 10, 500, 1000):
        beta, bar, bar_before = schedule.betas[t], schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
        of_x_0 = np.sqrt(bar_before) * beta / (1 - bar)
        of_x_t = np.sqrt(1 - beta) * (1 - bar_before) / (1 - bar)
        mu_tilde = of_x_0 * x_0 + of_x_t * x_t
        beta_tilde = (1 - bar_before) / (1 - bar) * beta
        np.testing.assert_allclose(
            posterior_mean(schedule, x_0, x_t, t - 1, t), mu_tilde, rtol=1e-9
        )
        np.testing.assert_allclose(
            posterior_variance(schedule, t - 1, t), beta_tilde, rtol=1e-9, atol=1e-18
        )
        np.testing.assert_allclose(transition(schedule, t - 1, t)[1], beta, rtol=1e-10)


@given(
    name=st.sampled_from(sorted(ALL)),
    parts=st.lists(st.floats(1e-3, 1), min_size=3, max_size=3, unique=True),
)
def test_transitions_satisfy_chapman_kolmogorov(name: str, parts: list[float]) -> None:
    """r to s to t equals r to t."""
    schedule = ALL[name]
    r, s, t = sorted(part * schedule.t_max for part in parts)
    factor_rs, variance_rs = transition(schedule, r, s)
    factor_st, variance_st = transition(schedule, s, t)
    factor, variance = transition(schedule, r, t)
    np.testing.assert_allclose(factor_rs * factor_st, factor, rtol=1e-9)
    np.testing.assert_allclose(
        factor_st**2 * variance_rs + variance_st, variance, rtol=1e-7, atol=1e-15
    )


@everywhere
def test_one_time_per_sample_equals_single_samples(name: str) -> None:
    schedule = ALL[name]
    rng = np.random.default_rng(1)
    x_0, eps = rng.normal(size=(2, 3, 4, 2))
    s, t = np.array([0.1, 0.2, 0.3]) * schedule.t_max, np.array([0.2, 0.9, 1.0]) * schedule.t_max
    together = marginal(schedule, x_0, eps, t), posterior_mean(schedule, x_0, eps, s, t)
    for i in range(3):
        one = slice(i, i + 1)
        alone = (
            marginal(schedule, x_0[one], eps[one], float(t[i])),
            posterior_mean(schedule, x_0[one], eps[one], float(s[i]), float(t[i])),
        )
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_allclose(a[one], b, rtol=1e-14)
    assert posterior_variance(schedule, s, t).shape == (3,)


@everywhere
def test_marginal_equals_ddpm_formula(name: str) -> None:
    schedule = ALL[name]
    x_0, eps = np.random.default_rng(2).normal(size=(2, 4, 3))
    t = 0.3 * schedule.t_max
    bar = (
        schedule.alpha_bar[300]
        if isinstance(schedule, DiscreteSchedule)
        else schedule.alpha(t) ** 2
    )
    expected = np.sqrt(bar) * x_0 + np.sqrt(1 - bar) * eps
    np.testing.assert_allclose(marginal(schedule, x_0, eps, t), expected, rtol=1e-11, atol=1e-14)


@everywhere
def test_float32_stays_float32(name: str) -> None:
    schedule = ALL[name]
    x = np.ones((2, 3), dtype=np.float32)
    for t in (0.5 * schedule.t_max, np.full(2, 0.5 * schedule.t_max)):
        assert marginal(schedule, x, x, t).dtype == np.float32
        assert posterior_mean(schedule, x, x, 0.5 * t, t).dtype == np.float32


@pytest.mark.parametrize(("s", "t"), [(5, 5), (6, 5), (np.array([1, 5]), np.array([2, 4]))])
def test_s_not_earlier_than_t_is_rejected(s: float, t: float) -> None:
    x = np.ones((2, 1))
    for call in (
        lambda: transition(DISCRETE["linear"], s, t),
        lambda: posterior_variance(DISCRETE["linear"], s, t),
        lambda: posterior_mean(DISCRETE["linear"], x, x, s, t),
    ):
        with pytest.raises(InputError, match="s must be earlier than t"):
            call()
