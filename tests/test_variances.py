"""Reverse variances: limits, shapes and dtypes, estimates, rejected arguments."""

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
    mean_posterior_variance_from_noise,
    optimal,
    optimal_variance,
    small,
)
from npdiff.verify import strict

everywhere = pytest.mark.parametrize("name", SCHEDULES)


@everywhere
def test_variances_of_the_step_to_the_data(name: str) -> None:
    """At s = 0: small is 0, large is sigma_t^2, the interpolation is 0 except at v = 1."""
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
def test_variances_of_a_step_from_pure_noise(name: str) -> None:
    """From t_max all are finite and ordered."""
    schedule = SCHEDULES[name]()
    s, t = 0.9 * schedule.t_max, schedule.t_max
    v = np.array([[0.0, 0.3, 1.0]])
    low, between, high = interpolated(schedule, s, t, v)[0]
    np.testing.assert_allclose([low, high], [f(schedule, s, t) for f in VARIANCES.values()])
    assert 0.0 < low < between < high
    mean_variance = 0.2
    assert low < optimal(schedule, s, t, mean_variance) < np.inf


def test_one_time_per_sample_and_float32() -> None:
    schedule = linear_betas()
    s, t = np.array([1.0, 400.0]), np.array([2.0, 500.0])
    v = np.full((2, 3, 1), 0.25, dtype=np.float32)
    value = interpolated(schedule, s, t, v)
    assert (value.dtype, value.shape) == (np.float32, (2, 3, 1))
    alone = [interpolated(schedule, s[i], t[i], v[i : i + 1])[0] for i in (0, 1)]
    np.testing.assert_allclose(value, np.stack(alone), rtol=1e-6)
    assert optimal(schedule, s, t, np.array([0.1, 0.2])).shape == (2,)


def test_variances_on_a_device() -> None:
    schedule, v = linear_betas(), np.linspace(0, 1, 6).reshape(2, 3)
    found = interpolated(schedule, 3.0, 9.0, strict.xp.asarray(v))
    np.testing.assert_allclose(found.get(), interpolated(schedule, 3.0, 9.0, v))
    eps = np.random.default_rng(0).normal(size=(5, 2)) * 0.3
    assert mean_posterior_variance_from_noise(
        schedule, strict.xp.asarray(eps), 9.0
    ) == pytest.approx(mean_posterior_variance_from_noise(schedule, eps, 9.0))


def test_mean_posterior_variance_from_noise_is_not_negative() -> None:
    """Also if eps_hat is larger than exact estimates can be: the value is clipped at 0."""
    assert mean_posterior_variance_from_noise(linear_betas(), np.full((2, 2), 1.1), 500.0) == 0.0


def test_mean_posterior_variance_from_noise_needs_signal() -> None:
    with pytest.raises(InputError, match="alpha = 0 at t = 1: use mean_post"):
        mean_posterior_variance_from_noise(SCHEDULES["rectified-flow"](), np.ones((1, 1)), 1.0)


@pytest.mark.parametrize("name", ["zero-snr", "edm"])
def test_sampling_with_an_estimated_variance_gives_the_variance_of_the_data(name: str) -> None:
    """Estimated from errors on 4000 samples; six steps, for which the small variance is far off."""
    schedule, data = SCHEDULES[name](), Gaussian([0.5, -1.0], 0.49)
    timesteps, M = schedule.time_at(np.array([-6.0, -2.0, 0.0, 2.0, 4.0])), 4000
    timesteps = np.concatenate([[schedule.t_max], timesteps, [0.0]])
    denoise, key = data.denoiser(schedule), Key(1, range(M))
    mean_variance = estimate_mean_posterior_variance(
        denoise, schedule, data.sample(key.fold("data")), timesteps, key
    )
    x = float(schedule.sigma(timesteps[0])) * key.fold("start").normal((2,))
    deviations = []
    for variance in ("small", optimal_variance(schedule, mean_variance)):
        *_, last = ddpm(
            denoise, schedule, x, timesteps, variance=variance,
            noise=lambda i: Key(2, range(M), step=i).normal((2,)),
        )  # fmt: skip
        deviations.append(float(last.x.std(axis=0).mean()))
    assert deviations[0] < 0.6
    assert deviations[1] == pytest.approx(0.7, rel=0.03)
    with pytest.raises(InputError, match=r"not estimated at t = 0\.5"):
        mean_variance(0.5)


def test_nan_estimates_give_nan() -> None:
    """And not 0, to which negative values are clipped."""
    assert np.isnan(mean_posterior_variance_from_noise(linear_betas(), np.array([[np.nan]]), 500.0))


def test_one_s_or_one_t_per_sample() -> None:
    schedule, s, t = linear_betas(), np.array([100.0, 300.0]), np.array([400.0, 600.0])
    for one, other in ((s, 600.0), (100.0, t), (s, t)):
        expected = [
            optimal(schedule, *(float(np.broadcast_to(u, 2)[i]) for u in (one, other)), 0.3)
            for i in range(2)
        ]
        np.testing.assert_allclose(optimal(schedule, one, other, 0.3), expected, rtol=1e-14)
