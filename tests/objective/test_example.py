"""Training examples: times and noise, weights for all prediction types, the loss, its gradient."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.exact import Gaussian
from npdiff.objective import (
    WEIGHTINGS,
    Example,
    Objective,
    loss,
    noise_weight,
    output_weight,
    sample_losses,
)
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.schedules import SCHEDULES, VariancePreserving, linear_betas

ALL = {name: make() for name, make in SCHEDULES.items()}
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)
all_predictions = pytest.mark.parametrize(
    "parameterization", PARAMETERIZATIONS.values(), ids=PARAMETERIZATIONS
)


@everywhere
@all_predictions
def test_example_agrees_with_process_and_prediction_type(schedule, parameterization) -> None:
    x_0 = np.random.default_rng(0).normal(size=(5, 2, 3))
    example = Objective(schedule, parameterization).example(x_0, Key(1, range(5)))
    for n in range(5):
        t, alpha, sigma = (f(example.t[n]) for f in (float, schedule.alpha, schedule.sigma))
        np.testing.assert_allclose(
            example.x_t[n], alpha * x_0[n] + sigma * example.eps[n], rtol=1e-12
        )
        a, b = parameterization.coefficients(schedule, t)
        np.testing.assert_allclose(
            example.target[n], a * x_0[n] + b * example.eps[n], rtol=1e-11, atol=1e-13
        )
        np.testing.assert_allclose(example.timestep[n], schedule.timestep(t))


@everywhere
def test_default_times_are_uniform(schedule) -> None:
    M = 20_000
    t = Objective(schedule, PARAMETERIZATIONS["eps"]).draw_times(Key(2, range(M)))
    if schedule.steps is None:
        assert t.min() > schedule.t_min
        assert t.max() < schedule.t_max
    else:
        assert set(t) == set(range(1, 1001))  # every time, and never 0
    part = np.sort((t - schedule.t_min) / (schedule.t_max - schedule.t_min))
    assert np.abs(part - (np.arange(M) + 0.5) / M).max() < 1.95 / np.sqrt(M) + 1e-3


def test_noise_is_standard_normal_and_uncorrelated_with_time() -> None:
    M = 20_000
    example = Objective(ALL["vp"], PARAMETERIZATIONS["eps"]).example(
        np.zeros((M, 2)), Key(3, range(M))
    )
    z = np.concatenate([example.eps, example.t[:, None]], axis=1)
    np.testing.assert_allclose(example.eps.mean(axis=0), 0, atol=5 / np.sqrt(M))
    np.testing.assert_allclose(example.eps.var(axis=0), 1, atol=5 * np.sqrt(2 / M))
    correlation = np.corrcoef(z.T) - np.eye(3)
    assert np.abs(correlation).max() < 5 / np.sqrt(M)


@everywhere
def test_example_depends_only_on_seed_step_and_sample(schedule) -> None:
    x_0 = np.random.default_rng(4).normal(size=(4, 3))
    objective = Objective(schedule, PARAMETERIZATIONS["v"])
    whole = objective.example(x_0, Key(9, (0, 1, 2, 3), step=5))
    part = objective.example(x_0[[2]], Key(9, (2,), step=5))
    other = objective.example(x_0[[2]], Key(9, (2,), step=6))
    for a, b, c in zip(whole, part, other, strict=True):
        np.testing.assert_array_equal(a[[2]], b)
        assert (b != c).any() or (a == 1).all()


@everywhere
@all_predictions
def test_example_and_loss_keep_float32(schedule, parameterization) -> None:
    x_0 = np.ones((3, 2, 2, 1), dtype=np.float32)
    example = Objective(schedule, parameterization).example(x_0, Key(0, range(3)))
    for name in ("x_t", "timestep", "target", "weight", "eps"):
        assert getattr(example, name).dtype == np.float32
    value, pullback = loss(example.x_t, example=example)
    (doutput,) = pullback(np.float32(1))
    assert value.dtype == doutput.dtype == np.float32


def test_key_with_another_number_of_samples_is_refused() -> None:
    with pytest.raises(InputError, match="x_0 has 3 samples and the key has 2"):
        Objective(ALL["vp"], PARAMETERIZATIONS["eps"]).example(np.zeros((3, 1)), Key(0, range(2)))


def test_simple_loss_equals_that_of_ddpm() -> None:
    """Mean over samples and elements of the squared error, in the symbols of DDPM."""
    schedule = linear_betas()
    x_0 = np.random.default_rng(5).normal(size=(6, 4))
    example = Objective(schedule, PARAMETERIZATIONS["eps"]).example(x_0, Key(6, range(6)))
    total = 0.0
    for n in range(6):
        bar = schedule.alpha_bar[int(example.t[n])]
        x_t = np.sqrt(bar) * x_0[n] + np.sqrt(1 - bar) * example.eps[n]
        total += ((example.eps[n] - np.tanh(x_t)) ** 2).sum()
    value, _ = loss(np.tanh(example.x_t), example=example)
    np.testing.assert_allclose(value, total / 24, rtol=1e-10)


@everywhere
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_loss_is_equal_for_all_prediction_types(schedule, weighting: str) -> None:
    """The same two estimates, converted to any prediction type, have the same loss."""
    rng = np.random.default_rng(7)
    x_0, eps, eps_hat = rng.normal(size=(3, 5, 2))
    t = np.array([0.002, 0.1, 0.5, 0.9, 0.99]) * schedule.t_max
    alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
    x_t = alpha * x_0 + sigma * eps
    x0_hat = (x_t - sigma * eps_hat) / alpha
    w = noise_weight(schedule, WEIGHTINGS[weighting], t)
    expected = (w[:, None] * (eps_hat - eps) ** 2).mean()
    for parameterization in PARAMETERIZATIONS.values():
        example = Example(
            x_t,
            t,
            parameterization.target(schedule, x_0, eps, t),
            output_weight(schedule, parameterization, WEIGHTINGS[weighting], t),
            t,
            eps,
            x_t,
        )
        output = parameterization.target(schedule, x0_hat, eps_hat, t)
        np.testing.assert_allclose(loss(output, example=example)[0], expected, rtol=1e-7)


@everywhere
def test_weights_equal_the_published_ones(schedule) -> None:
    t = np.array([0.001, 0.01, 0.2, 0.5, 0.9]) * schedule.t_max
    snr = (schedule.alpha(t) / schedule.sigma(t)) ** 2
    level = schedule.sigma(t) / schedule.alpha(t)
    edm_of_data = (level**2 + 0.25) / (level * 0.5) ** 2
    for parameterization, weighting, legacy in (
        ("eps", "simple", np.ones(5)),
        ("x0", "simple", snr),
        ("v", "simple", snr / (snr + 1)),
        ("x0", "x0", np.ones(5)),
        ("v", "v", np.ones(5)),
        ("eps", "min-snr", np.minimum(snr, 5) / snr),
        ("x0", "min-snr", np.minimum(snr, 5)),
        ("v", "min-snr", np.minimum(snr, 5) / (snr + 1)),
        ("eps", "p2", 1 / (1 + snr)),
        ("x0", "edm", edm_of_data),
        ("edm", "edm", np.ones(5)),
    ):
        if "v" in (parameterization, weighting) and not isinstance(schedule, VariancePreserving):
            continue  # published where alpha^2 + sigma^2 = 1
        value = output_weight(
            schedule, PARAMETERIZATIONS[parameterization], WEIGHTINGS[weighting], t
        )
        np.testing.assert_allclose(
            value, legacy, rtol=1e-9, err_msg=f"{parameterization} {weighting}"
        )


def test_loss_is_the_mean_of_the_sample_losses() -> None:
    rng = np.random.default_rng(11)
    example = Objective(ALL["cosine"], PARAMETERIZATIONS["v"], WEIGHTINGS["likelihood"]).example(
        rng.normal(size=(5, 3, 2)), Key(1, range(5))
    )
    output = rng.normal(size=(5, 3, 2))
    each = sample_losses(output, example)
    assert each.shape == (5,)
    np.testing.assert_allclose(each.mean(), loss(output, example=example)[0], rtol=1e-12)
    error = (output[2] - example.target[2]) ** 2
    np.testing.assert_allclose(each[2], example.weight[2] * error.mean(), rtol=1e-12)


def test_gradient_of_the_loss_agrees_with_a_central_difference() -> None:
    rng = np.random.default_rng(8)
    objective = Objective(ALL["vp"], PARAMETERIZATIONS["v"], WEIGHTINGS["min-snr"])
    example = objective.example(rng.normal(size=(3, 2, 2)), Key(8, range(3)))
    output, direction, h = *rng.normal(size=(2, 3, 2, 2)), 1e-5
    _, pullback = loss(output, example=example)
    (doutput,) = pullback(1.7)
    difference = (
        loss(output + h * direction, example=example)[0]
        - loss(output - h * direction, example=example)[0]
    ) / (2 * h)
    np.testing.assert_allclose((doutput * direction).sum(), 1.7 * difference, rtol=1e-8)


@everywhere
@all_predictions
def test_exact_denoiser_minimizes_the_loss(schedule, parameterization) -> None:
    """At E[output | x_t] the gradient vanishes on average along functions of (x_t, t).

    The gradient is converted to units of eps, so that a few samples do not dominate.
    """
    M = 4000
    data = Gaussian([0.7], 0.3)
    x_0 = data.sample(Key(10, range(M), stream="data"))
    example = Objective(schedule, parameterization).example(x_0, Key(10, range(M)))
    alpha, sigma = schedule.alpha(example.t)[:, None], schedule.sigma(example.t)[:, None]
    some = alpha > 0.0  # without signal most prediction types are degenerate
    alpha = np.where(some, alpha, 1.0)
    units = some * parameterization.determinant(schedule, example.t)[:, None] / alpha

    def gradients(x0_hat, eps_hat):
        output = parameterization.target(schedule, x0_hat, eps_hat, example.t)
        (doutput,) = loss(output, example=example)[1](1.0)
        for feature in (np.ones((M, 1)), example.x_t, np.sin(3 * example.x_t)):
            terms = M * doutput * units * feature
            yield abs(terms.mean()) * np.sqrt(M) / terms.std()

    x0_hat, eps_hat = data.denoiser(schedule)(example.x_t, example.t)
    assert max(gradients(x0_hat, eps_hat)) < 5
    # an estimate that is wrong by a fifth of a standard deviation is detected
    assert max(gradients(x0_hat - 0.2 * sigma / alpha, eps_hat + 0.2)) > 10
