"""Decoders and learned variances: shapes, dtypes, limits, refusals, and training with them."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.nn import UNet
from npdiff.objective import Objective
from npdiff.objective.bound import decoder_loss, last_step_variance, prior_kl, step_kl
from npdiff.objective.decoder import categorical_log_probability, discretized_gaussian
from npdiff.objective.divergence import gaussian_kl
from npdiff.objective.hybrid import (
    LearnedVariance,
    bound_loss,
    hybrid_loss,
    learned_log_variance,
)
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.schedules import SCHEDULES, DiscreteSchedule, LinearVP, linear_betas
from npdiff.training.optimizer import Moments, adamw
from npdiff.variances import interpolated


def test_arrays_of_different_shapes_are_refused() -> None:
    a, b = np.zeros((2, 3)), np.zeros((2, 4))
    with pytest.raises(InputError, match="one shape"):
        gaussian_kl(a, a, true_mean=a, true_log_variance=b)
    with pytest.raises(InputError, match="one shape"):
        discretized_gaussian(a, a, x=b)


def test_decoder_is_finite_far_from_the_mean() -> None:
    """A byte a thousand standard deviations away has a finite log-probability and gradient."""
    x = np.array([-1.0, 0.0039215686, 1.0])
    for deviation in (1e-3, 1e-2, 10.0):
        for mean in (-3.0, 0.3, 3.0):
            log_v = np.full(3, 2 * np.log(deviation))
            log_p, pullback = discretized_gaussian(np.full(3, mean), log_v, x=x)
            dmean, dlog_v = pullback(np.ones(3))
            assert np.isfinite([log_p, dmean, dlog_v]).all()
            assert (log_p <= 0.0).all()
            if abs(x[1] - mean) > 0.1:
                assert np.sign(dmean[1]) == np.sign(x[1] - mean)


def test_tanh_approximation_is_wrong_in_the_tail() -> None:
    """The common tanh approximation of the distribution function loses 45 % at -4."""
    from scipy.special import log_ndtr

    z = np.array([-4.0])
    by_tanh = 0.5 * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (z + 0.044715 * z**3)))
    assert by_tanh / np.exp(log_ndtr(z)) == pytest.approx(0.55, abs=0.005)
    # the lowest bin, its upper edge four standard deviations below the mean
    ours, _ = discretized_gaussian(
        np.array([-1.0 + 1 / 255 + 4 * 0.1]), np.array([2 * np.log(0.1)]), x=np.array([-1.0])
    )
    np.testing.assert_allclose(ours, log_ndtr(z), rtol=1e-12)


@pytest.mark.parametrize("deviation", [1e-4, 0.003, 0.1, 0.2, 5.0])
def test_decoders_keep_float32_and_agree_with_float64(deviation: float) -> None:
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 256, 50) / 127.5 - 1).astype(np.float32)
    mean = (x + deviation * rng.normal(size=50)).astype(np.float32)
    log_v = np.full(50, 2 * np.log(deviation), dtype=np.float32)
    single, pullback = discretized_gaussian(mean, log_v, x=x)
    double, double_pullback = discretized_gaussian(
        *(a.astype(np.float64) for a in (mean, log_v)), x=x
    )
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-4)
    both = zip(pullback(np.ones_like(x)), double_pullback(np.ones(50)), strict=True)
    for found, expected in both:
        assert found.dtype == np.float32
        np.testing.assert_allclose(
            found, expected, rtol=2e-2, atol=1e-3 * np.abs(expected).max() + 1e-30
        )
    z = mean[None]
    assert categorical_log_probability(LinearVP(), x[None], z, 1e-3).dtype == np.float32


def test_categorical_probabilities_sum_to_one() -> None:
    every = np.arange(256) / 127.5 - 1.0
    log_p = categorical_log_probability(LinearVP(), every[:, None], np.full((256, 1), 0.1234), 0.01)
    np.testing.assert_allclose(np.exp(log_p).sum(), 1.0, rtol=1e-12)
    assert np.argmax(log_p) == round((0.1234 / LinearVP().alpha(0.01) + 1.0) * 127.5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_exact_estimate_leaves_only_the_prior_term(name: str) -> None:
    schedule = SCHEDULES[name]()
    x_0 = np.random.default_rng(1).uniform(-1, 1, (3, 4))
    s, t = 0.3 * schedule.t_max, 0.6 * schedule.t_max
    np.testing.assert_allclose(step_kl(schedule, x_0, x_0, s, t), 0.0, atol=1e-12)
    prior = prior_kl(schedule, x_0)
    assert prior.shape == (3,)
    assert (prior >= 0.0).all()
    if schedule.alpha(schedule.t_max) == 0.0:
        np.testing.assert_allclose(prior, 0.0, atol=1e-12)


def test_last_step_variance_of_a_schedule_with_one_step() -> None:
    schedule = DiscreteSchedule(np.array([0.3]))
    np.testing.assert_allclose(last_step_variance(schedule, 1.0), 0.3)


def problem(prediction: str = "v") -> tuple[Objective, np.ndarray, object]:
    objective = Objective(linear_betas(50, 1e-3, 0.2), PARAMETERIZATIONS[prediction])
    x_0 = np.random.default_rng(2).integers(0, 256, (6, 3, 3, 2)) / 127.5 - 1.0
    return objective, x_0, objective.example(x_0, Key(0, range(6)))


def test_hybrid_loss_keeps_float32() -> None:
    objective, x_0, _ = problem()
    x_0 = x_0.astype(np.float32)
    example = objective.example(x_0, Key(0, range(6)))
    output = np.random.default_rng(3).normal(size=(6, 3, 3, 4)).astype(np.float32)
    value, pullback = hybrid_loss(output, example=example, objective=objective, x_0=x_0)
    (d,) = pullback(np.float32(1))
    assert value.dtype == d.dtype == np.float32
    assert d.shape == output.shape


def test_bound_loss_refuses_wrong_outputs_and_schedules() -> None:
    objective, x_0, example = problem()
    with pytest.raises(InputError, match="twice the channels"):
        bound_loss(np.zeros(x_0.shape), example=example, objective=objective, x_0=x_0)
    output = np.zeros((6, 3, 3, 4))
    for schedule in (LinearVP(), DiscreteSchedule(np.array([0.5]))):
        other = Objective(schedule, PARAMETERIZATIONS["v"])
        with pytest.raises(InputError, match="at least 2 steps"):
            bound_loss(output, example=example, objective=other, x_0=x_0)


def test_learned_variances_equal_the_interpolated_ones() -> None:
    schedule = linear_betas()
    v = np.random.default_rng(4).uniform(-1, 1, (3, 2))
    t = np.array([2.0, 300.0, 1000.0])
    log_variance, slope = learned_log_variance(schedule, v, t - 1, t)
    np.testing.assert_allclose(
        np.exp(log_variance), interpolated(schedule, t - 1, t, (v + 1) / 2), rtol=1e-10
    )
    again, _ = learned_log_variance(schedule, v + 1e-3, t - 1, t)
    np.testing.assert_allclose((again - log_variance) / 1e-3, slope + 0 * v, rtol=1e-6)


def test_gradient_descent_on_the_bound_finds_the_optimal_variance() -> None:
    """For Gaussian data it is known: posterior variance plus the variance of E[x_0 | x_t].

    Gradient descent on v alone, with the second half of the gradient of the hybrid loss, finds it.
    """
    schedule = DiscreteSchedule(np.full(4, 0.3))
    objective = Objective(schedule, PARAMETERIZATIONS["x0"])
    rng, t, M = np.random.default_rng(5), 3.0, 2000
    x_0 = rng.normal(size=(M, 1)) * 0.4
    eps = rng.normal(size=(M, 1))
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    x_t = alpha * x_0 + sigma * eps
    guess = alpha * 0.16 / (alpha**2 * 0.16 + sigma**2) * x_t
    example = objective.example(x_0, Key(0, range(M)))._replace(
        t=np.full(M, t), x_t=x_t, target=x_0, eps=eps, weight=np.ones(M)
    )
    v = -0.5
    for _ in range(60):
        output = np.concatenate([guess, np.full((M, 1), v)], axis=1)
        _, pullback = hybrid_loss(
            output, example=example, objective=objective, x_0=x_0, vlb_weight=1.0
        )
        v -= 0.4 * pullback(1.0)[0][:, 1].sum()
    found = interpolated(schedule, t - 1, t, np.array([[(v + 1) / 2]]))[0, 0]
    remaining = 0.16 - (alpha * 0.16) ** 2 / (alpha**2 * 0.16 + sigma**2)
    s = t - 1
    forward = 0.3
    posterior = forward * schedule.sigma(s) ** 2 / sigma**2
    coefficient = schedule.alpha(s) * forward / sigma**2
    assert found == pytest.approx(posterior + coefficient**2 * remaining, rel=0.04)


def test_training_a_network_reduces_hybrid_loss_and_bound() -> None:
    """A few steps of AdamW on the hybrid loss reduce the loss and the bound."""
    objective, x_0, _ = problem()
    x_0 = np.clip(0.1 * x_0, -1, 1).astype(np.float32)[..., :1]
    x_0 = np.round((x_0 + 1) * 127.5) / np.float32(127.5) - np.float32(1)
    x_0 = np.concatenate([x_0, x_0[:, :1]], axis=1)
    x_0 = np.concatenate([x_0, x_0[:, :, :1]], axis=2)  # (6, 4, 4, 1)
    network = UNet.init(
        0, channels=1, out_channels=2, width=8, multipliers=(1,), blocks=1, attention=(), heads=2
    )
    moments, losses, bounds = Moments.zero(network), [], []
    for step in range(1, 41):
        example = objective.example(x_0, Key(1, range(6), step % 4))
        y, network_pullback = network(example.network_input, example.timestep)
        options = {"example": example, "objective": objective, "x_0": x_0}
        value, pullback = hybrid_loss(y, **options)
        losses.append(float(value))
        bounds.append(float(bound_loss(y, **options)[0]))
        gradient = network_pullback(pullback(np.float32(1.0))[0])[0]
        network, moments = adamw(network, gradient, moments, step=step, learning_rate=3e-3)
    assert np.mean(losses[-4:]) < 0.7 * np.mean(losses[:4])
    assert np.mean(bounds[-4:]) < 0.7 * np.mean(bounds[:4])


def test_learned_variance_uses_both_halves_of_the_output() -> None:
    def network(x, timestep):
        return np.concatenate([0.5 * x, np.tanh(x)], axis=-1)

    schedule = linear_betas()
    learned = LearnedVariance(network, schedule, PARAMETERIZATIONS["eps"])
    x = np.random.default_rng(6).normal(size=(2, 3))
    x_0, eps = learned(x, 500.0)
    np.testing.assert_allclose(eps, 0.5 * x)
    np.testing.assert_allclose(schedule.alpha(500) * x_0 + schedule.sigma(500) * eps, x)
    variance = learned.variance(x, 499.0, 500.0)
    np.testing.assert_allclose(variance, interpolated(schedule, 499, 500, (np.tanh(x) + 1) / 2))
    with pytest.raises(InputError, match="twice"):
        LearnedVariance(lambda x, timestep: x, schedule, PARAMETERIZATIONS["eps"])(x, 500.0)


def test_decoder_probabilities_with_wider_bins_sum_to_one() -> None:
    """Four values from -1 to 1: their probabilities sum to 1."""
    x_0 = np.array([-1.0, -1.0 / 3.0, 1.0 / 3.0, 1.0])[:, None]
    nats = decoder_loss(x_0, np.full((4, 1), 0.2), np.full((4, 1), -1.0), half_bin=1.0 / 3.0)
    assert np.exp(-nats).sum() == pytest.approx(1.0, rel=1e-12)
