"""DDIM: ancestral sampling at eta = 1, exact for a point, there and back."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.exact import Gaussian
from npdiff.samplers import ddim, ddim_inversion, ddpm
from npdiff.schedules import SCHEDULES, linear_betas
from npdiff.spacings import trailing

ALL = {name: SCHEDULES[name]() for name in ("linear", "cosine", "vp", "cosine-continuous")}
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)


def test_eta_one_is_ddpm_on_the_whole_chain() -> None:
    table = linear_betas()
    x = np.random.default_rng(1).normal(size=(3, 2))
    denoise = Gaussian([0.7, -0.2], [0.3, 0.1]).denoiser(table)
    z = np.random.default_rng(2).normal(size=(1000, 3, 2))
    one = ddim(denoise, table, x, trailing(table, 1000), eta=1.0, noise=z.__getitem__)
    other = ddpm(denoise, table, x, trailing(table, 1000), noise=z.__getitem__)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.x, b.x, rtol=1e-10, atol=1e-12)


@everywhere
@pytest.mark.parametrize("steps", [1, 3, 50])
def test_it_is_exact_for_a_point(schedule, steps: int) -> None:
    """Where x0_hat is constant the path is alpha x_0 + sigma eps with one eps, on any grid."""
    point, eps = np.array([[0.4, -0.9]]), np.array([[1.1, 0.3]])
    denoise = Gaussian(point[0], 0.0).denoiser(schedule)
    timesteps = trailing(schedule, steps)
    x = schedule.alpha(timesteps[0]) * point + schedule.sigma(timesteps[0]) * eps
    for step in ddim(denoise, schedule, x, timesteps):
        expected = schedule.alpha(step.t) * point + schedule.sigma(step.t) * eps
        np.testing.assert_allclose(step.x, expected, rtol=1e-9, atol=1e-12)


@everywhere
def test_a_fine_grid_keeps_to_the_flow(schedule) -> None:
    data = Gaussian([0.6, -0.3], np.array([[0.5, 0.2], [0.2, 0.3]]))
    x = np.random.default_rng(2).normal(size=(4, 2))
    timesteps = trailing(schedule, 1000)
    *_, last = ddim(data.denoiser(schedule), schedule, x, timesteps)
    truth = data.flow(schedule, x, schedule.t_max, 0.0)
    np.testing.assert_allclose(last.x, truth, atol=0.01)


@pytest.mark.parametrize("eta", [-0.1, 1.1, np.nan])
def test_eta_outside_is_refused(eta: float) -> None:
    steps = ddim(lambda x, t: (x, x), ALL["vp"], np.ones((1, 1)), np.array([1.0, 0.0]), eta=eta)
    with pytest.raises(InputError, match="eta lies between 0"):
        next(steps)


def test_noise_is_needed_where_eta_is_positive() -> None:
    timesteps, x = np.array([1.0, 0.5, 0.0]), np.ones((1, 1))
    with pytest.raises(InputError, match="given no noise"):
        next(ddim(lambda x, t: (x, x), ALL["vp"], x, timesteps, eta=0.5))
    assert len(list(ddim(lambda x, t: (x, x), ALL["vp"], x, timesteps))) == 2


def test_inversion_of_what_is_exact() -> None:
    """For a point the way back is the way there, step for step, on any grid."""
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
def test_inversion_asks_at_the_time_of_the_state_it_shows(corrections: int) -> None:
    """At s, where it stands; at t from the data on; never at 0, never beyond the grid."""
    schedule, asked = ALL["linear"], []

    def denoise(x, t):
        asked.append(float(t))
        return 0.5 * x, x

    list(ddim_inversion(denoise, schedule, np.ones((1, 1)), [0, 10, 20], corrections=corrections))
    assert asked == [10.0] * (1 + corrections) + [10.0] + [20.0] * corrections


@pytest.mark.parametrize("timesteps", [[1.0, 0.5], [0.5, 0.5], [0.5], [-0.1, 0.5], [0.5, 1.1]])
def test_inversion_refuses(timesteps: list[float]) -> None:
    steps = ddim_inversion(lambda x, t: (x, x), ALL["vp"], np.ones((1, 1)), timesteps)
    with pytest.raises(InputError):
        next(steps)


def test_inversion_refuses_fewer_corrections_than_none() -> None:
    steps = ddim_inversion(
        lambda x, t: (x, x), ALL["vp"], np.ones((1, 1)), [0.0, 1.0], corrections=-1
    )
    with pytest.raises(InputError, match="0 corrections or more"):
        next(steps)
