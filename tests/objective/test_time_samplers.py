"""Time samplers: keyed times within the schedule, densities, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.objective import (
    TIME_SAMPLERS,
    WEIGHTINGS,
    LogitNormal,
    LogNormal,
    LossHistory,
    LowDiscrepancy,
    Objective,
    SecondMoment,
    sample_losses,
)
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.schedules import SCHEDULES, LinearVP, linear_betas

everywhere = pytest.mark.parametrize("name", SCHEDULES)
all_time_samplers = pytest.mark.parametrize(
    "time_sampler", [*TIME_SAMPLERS.values(), LowDiscrepancy(LogNormal())]
)


@everywhere
@all_time_samplers
def test_times_are_within_the_schedule_and_keyed_by_sample(name, time_sampler) -> None:
    schedule = SCHEDULES[name]()
    t = time_sampler(schedule, Key(3, range(64), step=2, stream="t"))
    assert t.shape == (64,)
    assert t.dtype == np.float64
    assert (t >= schedule.t_min).all()
    assert (t <= schedule.t_max).all()
    if schedule.steps is not None:
        np.testing.assert_array_equal(t, np.round(t))
    part = time_sampler(schedule, Key(3, (5, 17), step=2, stream="t"))
    np.testing.assert_array_equal(part, t[[5, 17]])
    assert (t != time_sampler(schedule, Key(3, range(64), step=3, stream="t"))).any()
    density = time_sampler.density(schedule, t)
    assert density.shape == (64,)
    assert (density > 0.0).all()


@everywhere
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights_are_finite_for_all_combinations(name: str, weighting: str) -> None:
    """Every schedule, prediction type, weighting and time sampler gives finite weights."""
    schedule = SCHEDULES[name]()
    x_0 = np.random.default_rng(0).normal(size=(16, 2))
    for parameterization in PARAMETERIZATIONS.values():
        for time_sampler in TIME_SAMPLERS.values():
            objective = Objective(schedule, parameterization, WEIGHTINGS[weighting], time_sampler)
            example = objective.example(x_0, Key(1, range(16)))
            assert np.isfinite(example.weight).all()
            assert (example.weight >= 0.0).all()


def test_infinite_weight_is_refused() -> None:
    schedule = SCHEDULES["zero-snr"]()
    objective = Objective(schedule, PARAMETERIZATIONS["eps"], WEIGHTINGS["likelihood"])
    with pytest.raises(InputError, match="not finite at t = "):
        objective.weights(np.array([schedule.t_max]))


@pytest.mark.parametrize("deviation", [0.0, -1.0, np.inf, np.nan])
def test_nonpositive_deviation_is_refused(deviation: float) -> None:
    for sampler_class in (LogitNormal, LogNormal):
        with pytest.raises(InputError, match="deviation must be positive"):
            sampler_class(deviation=deviation)


def test_logit_normal_times_have_the_right_quantiles() -> None:
    t = LogitNormal()(SCHEDULES["rectified-flow"](), Key(0, range(2000)))
    assert abs(np.median(t) - 0.5) < 0.03
    assert abs(np.mean((t > 0.2689) & (t < 0.7311)) - 0.6827) < 0.04  # one standard deviation


def test_low_discrepancy_reduces_the_variance_of_a_mean() -> None:
    """The mean of a batch varies less from step to step than with independent times."""
    schedule = LinearVP()

    def deviation_of_means(time_sampler) -> float:
        return float(
            np.std(
                [np.sqrt(time_sampler(schedule, Key(0, range(32), k))).mean() for k in range(200)]
            )
        )

    assert deviation_of_means(LowDiscrepancy()) < 0.3 * deviation_of_means(TIME_SAMPLERS["uniform"])


def test_loss_aware_sampling_is_unbiased_with_smaller_variance() -> None:
    schedule = linear_betas(20)
    rng = np.random.default_rng(1)
    objective = Objective(schedule, PARAMETERIZATIONS["eps"])
    history = LossHistory.empty(20, 3)
    x_0 = rng.normal(size=(30, 2))

    def wrong(example) -> np.ndarray:
        """An output whose error grows with time."""
        return example.target + 0.01 * example.t[:, None] ** 2

    for step in range(12):
        drawn = replace(objective, time_sampler=SecondMoment(history))
        example = drawn.example(x_0, Key(2, range(30), step))
        undivided = sample_losses(wrong(example), example) * drawn.time_sampler.density(
            schedule, example.t
        )
        history = history.add(example.t, undivided)
    assert history.counts.min() >= 3
    p = history.probabilities()
    np.testing.assert_allclose(p.sum(), 1.0)
    expected = np.arange(1.0, 21.0) ** 4
    np.testing.assert_allclose(p, 0.999 * expected / expected.sum() + 0.001 / 20, rtol=1e-9)
    # the mean of the divided losses is the uniform mean, with a smaller variance
    drawn = replace(objective, time_sampler=SecondMoment(history))
    many = np.zeros((4000, 2))
    losses = {}
    for name, one in (("uniform", objective), ("aware", drawn)):
        example = one.example(many, Key(5, range(4000)))
        losses[name] = sample_losses(wrong(example), example)
    truth = 1e-4 * expected.mean()
    assert abs(losses["aware"].mean() - truth) < 1e-2 * truth
    assert losses["aware"].std() < 0.1 * losses["uniform"].std()


def test_loss_history_is_immutable_and_resumes_exactly() -> None:
    """The losses and counts are the whole state."""
    assert LossHistory.empty(4).losses.shape == (4, 10)
    before = LossHistory.empty(4, 2)
    after = before.add(np.array([2.0, 2.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert not before.counts.any()
    np.testing.assert_array_equal(after.losses, [[0, 0], [3, 2], [0, 0], [4, 0]])
    np.testing.assert_array_equal(after.counts, [0, 3, 0, 1])
    resumed = LossHistory(after.losses.copy(), after.counts.copy())
    for history in (after, resumed):
        np.testing.assert_array_equal(history.probabilities(), np.full(4, 0.25))


def test_loss_history_refuses_invalid_times_losses_and_schedules() -> None:
    history = LossHistory.empty(4)
    for t in (0.0, 5.0, 1.5):
        with pytest.raises(InputError, match="from 1 to 4"):
            history.add(np.array([t]), np.array([1.0]))
    for loss in (-1.0, np.nan):
        with pytest.raises(InputError, match="must be 0 or more"):
            history.add(np.array([1.0]), np.array([loss]))
    for schedule in (linear_betas(5), LinearVP()):
        with pytest.raises(InputError, match="the loss history has 4 times"):
            SecondMoment(history).density(schedule, np.array([1.0]))
