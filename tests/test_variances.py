"""Reverse variances: limits, kinds of arrays, estimates, and what they refuse."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.exact import Gaussian
from npdiff.random import Key
from npdiff.samplers import ddpm
from npdiff.schedules import SCHEDULES, linear_betas
from npdiff.variances import (
    VARIANCES,
    estimate_mean_posterior_variance,
    interpolated,
    large,
    optimal,
    optimal_variance,
    small,
    mean_posterior_variance_from_noise,
)
from npdiff.verify import strict

everywhere = pytest.mark.parametrize("name", SCHEDULES)


@everywhere
def test_at_the_data(name: str) -> None:
    """s = 0: the small is 0, the large is all the noise there is, in between is 0 but at v = 1."""
    schedule = SCHEDULES[name]()
    t = 0.4 * schedule.t_max
    assert small(schedule, 0.0, t) == 0.0
    np.testing.assert_allclose(large(schedule, 0.0, t), schedule.sigma(t) ** 2, rtol=1e-12)
    v = np.array([[0.0, 0.5, 1.0]])
    np.testing.assert_allclose(
        interpolated(schedule, 0.0, t, v), [[0.0, 0.0, large(schedule, 0.0, t)]], rtol=1e-12
    )
    assert optimal(schedule, 0.0, t, 0.3) == pytest.approx(0.3)


@everywhere
def test_from_pure_noise(name: str) -> None:
    """From the very end of a schedule all are finite and in their order."""
    schedule = SCHEDULES[name]()
    s, t = 0.9 * schedule.t_max, schedule.t_max
    v = np.array([[0.0, 0.3, 1.0]])
    low, between, high = interpolated(schedule, s, t, v)[0]
    np.testing.assert_allclose([low, high], [f(schedule, s, t) for f in VARIANCES.values()])
    assert 0.0 < low < between < high
    spread = 0.2
    assert low < optimal(schedule, s, t, spread) < np.inf


def test_one_time_a_sample_and_float32() -> None:
    table = linear_betas()
    s, t = np.array([1.0, 400.0]), np.array([2.0, 500.0])
    v = np.full((2, 3, 1), 0.25, dtype=np.float32)
    value = interpolated(table, s, t, v)
    assert (value.dtype, value.shape) == (np.float32, (2, 3, 1))
    alone = [interpolated(table, s[i], t[i], v[i : i + 1])[0] for i in (0, 1)]
    np.testing.assert_allclose(value, np.stack(alone), rtol=1e-6)
    assert optimal(table, s, t, np.array([0.1, 0.2])).shape == (2,)


def test_on_a_device() -> None:
    table, v = linear_betas(), np.linspace(0, 1, 6).reshape(2, 3)
    found = interpolated(table, 3.0, 9.0, strict.xp.asarray(v))
    np.testing.assert_allclose(found.get(), interpolated(table, 3.0, 9.0, v))
    eps = np.random.default_rng(0).normal(size=(5, 2)) * 0.3
    assert mean_posterior_variance_from_noise(table, strict.xp.asarray(eps), 9.0) == pytest.approx(
        mean_posterior_variance_from_noise(table, eps, 9.0)
    )


def test_an_estimate_is_not_negative() -> None:
    """Noise larger than there can be, as a network may answer: the spread stops at 0."""
    assert mean_posterior_variance_from_noise(linear_betas(), np.full((2, 2), 1.1), 500.0) == 0.0


def test_without_signal_the_noise_says_nothing_of_the_data() -> None:
    with pytest.raises(InputError, match="no signal: estimate the spread from the error"):
        mean_posterior_variance_from_noise(SCHEDULES["rectified-flow"](), np.ones((1, 1)), 1.0)


@pytest.mark.parametrize("name", ["zero-snr", "edm"])
def test_sampling_with_an_estimate_makes_data_of_the_right_size(name: str) -> None:
    """Estimated from errors on 4000 draws; a chain of six steps, where the small is far off."""
    schedule, data = SCHEDULES[name](), Gaussian([0.5, -1.0], 0.49)
    timesteps, M = schedule.time_at(np.array([-6.0, -2.0, 0.0, 2.0, 4.0])), 4000
    timesteps = np.concatenate([[schedule.t_max], timesteps, [0.0]])
    denoise, key = data.denoiser(schedule), Key(1, range(M))
    spread = estimate_mean_posterior_variance(denoise, schedule, data.sample(key.fold("data")), timesteps, key)
    x = float(schedule.sigma(timesteps[0])) * key.fold("start").normal((2,))
    deviations = []
    for variance in ("small", optimal_variance(schedule, spread)):
        *_, last = ddpm(
            denoise, schedule, x, timesteps, variance=variance,
            noise=lambda i: Key(2, range(M), step=i).normal((2,)),
        )  # fmt: skip
        deviations.append(float(last.x.std(axis=0).mean()))
    assert deviations[0] < 0.6
    assert deviations[1] == pytest.approx(0.7, rel=0.03)
    with pytest.raises(InputError, match=r"not estimated at t = 0\.5"):
        spread(0.5)


def test_what_is_no_number_stays_none() -> None:
    """A broken denoiser has no spread; least of all 0."""
    assert np.isnan(mean_posterior_variance_from_noise(linear_betas(), np.array([[np.nan]]), 500.0))


def test_times_for_each_sample_on_either_side() -> None:
    schedule, s, t = linear_betas(), np.array([100.0, 300.0]), np.array([400.0, 600.0])
    for one, other in ((s, 600.0), (100.0, t), (s, t)):
        expected = [
            optimal(schedule, *(float(np.broadcast_to(u, 2)[i]) for u in (one, other)), 0.3)
            for i in range(2)
        ]
        np.testing.assert_allclose(optimal(schedule, one, other, 0.3), expected, rtol=1e-14)
