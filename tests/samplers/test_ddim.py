"""DDIM: the paper's own symbols, ancestral sampling at eta = 1, and the right marginals."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.exact import Gaussian
from npdiff.grids import trailing
from npdiff.random import Key
from npdiff.samplers import ddim, ddpm, keyed_noise
from npdiff.schedules import SCHEDULES, linear_table

ALL = {name: SCHEDULES[name]() for name in ("linear", "cosine", "vp", "cosine-continuous")}
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_the_step_in_the_symbols_of_the_paper(eta: float) -> None:
    """Song, Meng and Ermon write alpha for alpha-bar."""
    table = linear_table()
    rng = np.random.default_rng(0)
    for t, s in ((1000, 900), (500, 499), (20, 10), (2, 1), (50, 0)):
        x_t, eps, z = rng.normal(size=(3, 4, 5))
        a_t, a_s = table.alpha_bar[t], table.alpha_bar[s]
        sigma = eta * np.sqrt((1 - a_s) / (1 - a_t)) * np.sqrt(1 - a_t / a_s)
        predicted = (x_t - np.sqrt(1 - a_t) * eps) / np.sqrt(a_t)
        direction = np.sqrt(1 - a_s - sigma**2) * eps

        def denoise(x, time, x_0=predicted, eps=eps):
            return x_0, eps

        times = np.array([t, s], dtype=float)
        (step,) = ddim(denoise, table, x_t, times, eta=eta, noise=lambda i, z=z: z)
        expected = np.sqrt(a_s) * predicted + direction + sigma * z
        np.testing.assert_allclose(step.x, expected, rtol=1e-8, atol=1e-9)


@everywhere
@pytest.mark.parametrize("steps", [200, 37])
def test_eta_one_is_ancestral_sampling(schedule, steps: int) -> None:
    """On strided grids of any schedule, with the same noise."""
    x = np.random.default_rng(1).normal(size=(3, 2))
    denoise = Gaussian([0.7, -0.2], [0.3, 0.1]).denoiser(schedule)
    noise = keyed_noise(Key(3, range(3)), x)
    times = trailing(schedule, steps)
    one = ddim(denoise, schedule, x, times, eta=1.0, noise=noise)
    other = ddpm(denoise, schedule, x, times, variance="small", noise=noise)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.x, b.x, rtol=1e-9, atol=1e-11)


def test_eta_one_is_ddpm_on_the_whole_chain() -> None:
    table = linear_table()
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
    """Where x_0_hat is constant the path is alpha x_0 + sigma eps with one eps, on any grid."""
    point, eps = np.array([[0.4, -0.9]]), np.array([[1.1, 0.3]])
    denoise = Gaussian(point[0], 0.0).denoiser(schedule)
    times = trailing(schedule, steps)
    x = schedule.alpha(times[0]) * point + schedule.sigma(times[0]) * eps
    for step in ddim(denoise, schedule, x, times):
        expected = schedule.alpha(step.t) * point + schedule.sigma(step.t) * eps
        np.testing.assert_allclose(step.x, expected, rtol=1e-9, atol=1e-12)


@everywhere
@pytest.mark.parametrize("eta", [0.0, 0.4, 0.8, 1.0])
def test_every_eta_has_the_right_marginals(schedule, eta: float) -> None:
    """For a point the variance at s is sigma_s^2. Read off impulse responses: no sampling error."""
    times = trailing(schedule, 9)
    count = len(times) - 1

    def impulse(i: int) -> np.ndarray:
        return (np.arange(count + 1) == i).astype(float)[:, None]

    x = np.zeros((count + 1, 1))
    x[count] = schedule.sigma(times[0])
    denoise = Gaussian([0.0], 0.0).denoiser(schedule)
    for step in ddim(denoise, schedule, x, times, eta=eta, noise=impulse):
        np.testing.assert_allclose(
            np.sqrt((step.x**2).sum()), schedule.sigma(step.t), rtol=1e-9, atol=1e-15
        )


@everywhere
def test_a_fine_grid_keeps_to_the_flow(schedule) -> None:
    data = Gaussian([0.6, -0.3], np.array([[0.5, 0.2], [0.2, 0.3]]))
    x = np.random.default_rng(2).normal(size=(4, 2))
    times = trailing(schedule, 1000)
    *_, last = ddim(data.denoiser(schedule), schedule, x, times)
    truth = data.flow(schedule, x, schedule.t_max, 0.0)
    np.testing.assert_allclose(last.x, truth, atol=0.01)


@pytest.mark.parametrize("eta", [-0.1, 1.1, np.nan])
def test_eta_outside_is_refused(eta: float) -> None:
    steps = ddim(lambda x, t: (x, x), ALL["vp"], np.ones((1, 1)), np.array([1.0, 0.0]), eta=eta)
    with pytest.raises(InputError, match="eta lies between 0"):
        next(steps)


def test_noise_is_needed_where_eta_is_positive() -> None:
    times, x = np.array([1.0, 0.5, 0.0]), np.ones((1, 1))
    with pytest.raises(InputError, match="given no noise"):
        next(ddim(lambda x, t: (x, x), ALL["vp"], x, times, eta=0.5))
    assert len(list(ddim(lambda x, t: (x, x), ALL["vp"], x, times))) == 2
