"""DDIM: ancestral sampling at eta = 1, exactness for a point, inversion."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.exact import Gaussian
from npdiff.samplers import ddim, ddim_inversion, ddpm
from npdiff.schedules import SCHEDULES, linear_betas
from npdiff.spacings import trailing

ALL = {name: SCHEDULES[name]() for name in ("linear", "cosine", "vp", "cosine-continuous")}
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)


def test_eta_one_equals_ddpm() -> None:
    schedule = linear_betas()
    x = np.random.default_rng(1).normal(size=(3, 2))
    denoise = Gaussian([0.7, -0.2], [0.3, 0.1]).denoiser(schedule)
    z = np.random.default_rng(2).normal(size=(1000, 3, 2))
    one = ddim(denoise, schedule, x, trailing(schedule, 1000), eta=1.0, noise=z.__getitem__)
    other = ddpm(denoise, schedule, x, trailing(schedule, 1000), noise=z.__getitem__)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.x, b.x, rtol=1e-10, atol=1e-12)


@everywhere
@pytest.mark.parametrize("steps", [1, 3, 50])
def test_ddim_is_exact_for_a_single_point(schedule, steps: int) -> None:
    """There x_t = alpha_t x_0 + sigma_t eps with one eps, for any timesteps."""
    point, eps = np.array([[0.4, -0.9]]), np.array([[1.1, 0.3]])
    denoise = Gaussian(point[0], 0.0).denoiser(schedule)
    timesteps = trailing(schedule, steps)
    x = schedule.alpha(timesteps[0]) * point + schedule.sigma(timesteps[0]) * eps
    for step in ddim(denoise, schedule, x, timesteps):
        expected = schedule.alpha(step.t) * point + schedule.sigma(step.t) * eps
        np.testing.assert_allclose(step.x, expected, rtol=1e-9, atol=1e-12)


@everywhere
def test_many_steps_follow_the_exact_flow(schedule) -> None:
    data = Gaussian([0.6, -0.3], np.array([[0.5, 0.2], [0.2, 0.3]]))
    x = np.random.default_rng(2).normal(size=(4, 2))
    timesteps = trailing(schedule, 1000)
    *_, last = ddim(data.denoiser(schedule), schedule, x, timesteps)
    truth = data.flow(schedule, x, schedule.t_max, 0.0)
    np.testing.assert_allclose(last.x, truth, atol=0.01)


@pytest.mark.parametrize("eta", [-0.1, 1.1, np.nan])
def test_eta_out_of_range_is_rejected(eta: float) -> None:
    steps = ddim(lambda x, t: (x, x), ALL["vp"], np.ones((1, 1)), np.array([1.0, 0.0]), eta=eta)
    with pytest.raises(InputError, match="eta must lie between 0"):
        next(steps)


def test_positive_eta_needs_noise() -> None:
    timesteps, x = np.array([1.0, 0.5, 0.0]), np.ones((1, 1))
    with pytest.raises(InputError, match="needs noise"):
        next(ddim(lambda x, t: (x, x), ALL["vp"], x, timesteps, eta=0.5))
    assert len(list(ddim(lambda x, t: (x, x), ALL["vp"], x, timesteps))) == 2


def test_inversion_is_exact_for_a_single_point() -> None:
    """Step by step, for any timesteps."""
    point, eps = np.array([[0.4, -0.9]]), np.array([[1.1, 0.3]])
    for schedule in ALL.values():
        denoise = Gaussian(point[0], 0.0).denoiser(schedule)
        timesteps = np.linspace(0.2, 1.0, 5) * schedule.t_max
        x = schedule.alpha(timesteps[0]) * point + schedule.sigma(timesteps[0]) * eps
        steps = list(ddim_inversion(denoise, schedule, x, timesteps))
        assert [step.t for step in steps] == timesteps[1:].tolist()
        for step in steps:
            expected = schedule.alpha(step.t) * point + schedule.sigma(step.t) * eps
            np.testing.assert_allclose(step.x, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("corrections", [0, 2])
def test_inversion_evaluates_states_at_their_own_time(corrections: int) -> None:
    """At s; at t for the step from the data; never at 0 or beyond the timesteps."""
    schedule, times = ALL["linear"], []

    def denoise(x, t):
        times.append(float(t))
        return 0.5 * x, x

    list(ddim_inversion(denoise, schedule, np.ones((1, 1)), [0, 10, 20], corrections=corrections))
    assert times == [10.0] * (1 + corrections) + [10.0] + [20.0] * corrections


@pytest.mark.parametrize("timesteps", [[1.0, 0.5], [0.5, 0.5], [0.5], [-0.1, 0.5], [0.5, 1.1]])
def test_inversion_rejects_timesteps_that_do_not_ascend(timesteps: list[float]) -> None:
    steps = ddim_inversion(lambda x, t: (x, x), ALL["vp"], np.ones((1, 1)), timesteps)
    with pytest.raises(InputError):
        next(steps)


def test_inversion_rejects_negative_corrections() -> None:
    steps = ddim_inversion(
        lambda x, t: (x, x), ALL["vp"], np.ones((1, 1)), [0.0, 1.0], corrections=-1
    )
    with pytest.raises(InputError, match="corrections must be 0 or more"):
        next(steps)
