"""Euler's and Heun's methods: one step by hand, the number of evaluations, the last step."""

import numpy as np
import pytest

from npdiff.exact import Gaussian
from npdiff.grids import trailing
from npdiff.samplers import euler, heun
from npdiff.samplers.ode import velocity
from npdiff.schedules import SCHEDULES

ALL = {name: SCHEDULES[name]() for name in ("linear", "cosine", "vp", "cosine-continuous")}
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)
DATA = Gaussian([0.6, -0.3], np.array([[0.5, 0.2], [0.2, 0.3]]))


@everywhere
def test_the_velocity_is_that_of_the_sde(schedule) -> None:
    """dx/dt = f x - g^2 score / 2."""
    x = np.random.default_rng(0).normal(size=(5, 2))
    for t in np.array([0.003, 0.3, 0.9]) * schedule.t_max:
        score = DATA.score(schedule, x, t)
        expected = schedule.drift(t) * x - 0.5 * schedule.diffusion(t) * score
        value = velocity(schedule, *DATA.denoiser(schedule)(x, t), t)
        np.testing.assert_allclose(value, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["vp", "cosine-continuous"])
def test_the_exact_flow_moves_with_the_velocity(name: str) -> None:
    schedule, t, h = ALL[name], 0.4, 1e-6
    x = np.random.default_rng(1).normal(size=(5, 2))
    moved = (DATA.flow(schedule, x, t, t + h) - DATA.flow(schedule, x, t, t - h)) / (2 * h)
    value = velocity(schedule, *DATA.denoiser(schedule)(x, t), t)
    np.testing.assert_allclose(value, moved, rtol=1e-7)


@everywhere
def test_one_step_by_hand(schedule) -> None:
    t, s = 0.8 * schedule.t_max, 0.7 * schedule.t_max
    x, denoise = np.array([[0.3, -1.2]]), DATA.denoiser(schedule)

    def slope(y: np.ndarray, u: float) -> np.ndarray:
        return schedule.drift(u) * y - 0.5 * schedule.diffusion(u) * DATA.score(schedule, y, u)

    k1 = slope(x, t)
    k2 = slope(x + (s - t) * k1, s)
    (one,) = euler(denoise, schedule, x, np.array([t, s]))
    (two,) = heun(denoise, schedule, x, np.array([t, s]))
    np.testing.assert_allclose(one.x, x + (s - t) * k1, rtol=1e-9)
    np.testing.assert_allclose(two.x, x + (s - t) * (k1 + k2) / 2, rtol=1e-9)
    assert (one.x_0 == two.x_0).all()


@pytest.mark.parametrize(("sampler", "calls"), [(euler, 6), (heun, 11)])
@everywhere
def test_evaluations_and_the_last_step(schedule, sampler, calls: int) -> None:
    asked = []

    def denoise(x, t):
        asked.append(t)
        return DATA.denoiser(schedule)(x, t)

    *_, last = sampler(denoise, schedule, np.ones((1, 2)), trailing(schedule, 6))
    assert len(asked) == calls
    assert min(asked) > 0
    assert last.t == 0
    assert (last.x == last.x_0).all()
