"""The adaptive solver: tolerances, evaluations, its end, and unsolvable problems."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from npdiff.errors import InputError
from npdiff.exact import Gaussian
from npdiff.samplers import adaptive_ode
from npdiff.schedules import SCHEDULES, linear_betas
from npdiff.verify import strict

DATA = Gaussian([0.6, -0.3], np.array([[0.5, 0.2], [0.2, 0.3]]))


@pytest.mark.parametrize("method", ["RK23", "RK45", "DOP853"])
def test_states_equal_those_of_solve_ivp(method: str) -> None:
    """On EDM's schedule, in the angle, at the same times."""
    schedule, x = SCHEDULES["edm"](), np.array([[5.0, -3.0]])
    timesteps, denoise = np.array([8.0, 3.0, 1.0, 0.2]), DATA.denoiser(schedule)

    def slope(angle: float, y: np.ndarray) -> np.ndarray:
        sigma = np.tan(angle)
        x_0, eps = denoise((y * np.hypot(1.0, sigma))[None], sigma)
        return (np.cos(angle) * eps - np.sin(angle) * x_0)[0]

    angles = np.arctan(timesteps)
    y = x[0] / np.hypot(1.0, timesteps[0])
    options = {"method": method, "rtol": 1e-4, "atol": 1e-6}
    solved = solve_ivp(slope, (angles[0], angles[-1]), y, t_eval=angles, **options)
    steps = list(adaptive_ode(denoise, schedule, x, timesteps, **options))
    expected = solved.y.T * np.hypot(1.0, timesteps)[:, None]
    np.testing.assert_allclose([s.x[0] for s in steps], expected[1:], rtol=1e-6)


def test_timesteps_do_not_change_the_result() -> None:
    schedule, x = linear_betas(), np.array([[1.3, -0.2], [0.1, 0.8]])
    ends = []
    for times in ([1000, 0], [1000, 500, 0], [1000, 700, 300, 2, 0]):
        *_, last = adaptive_ode(DATA.denoiser(schedule), schedule, x, np.array(times, float))
        ends.append(last.x)
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-12)
    np.testing.assert_allclose(ends[2], ends[0], rtol=1e-12)


def test_a_smaller_tolerance_takes_more_evaluations_and_has_less_error() -> None:
    schedule, x = SCHEDULES["vp"](), np.array([[1.3, -0.2]])
    truth, found = DATA.flow(schedule, x, 1.0, 0.1), []
    for tolerance in (1e-2, 1e-4, 1e-7):
        times, exact = [], DATA.denoiser(schedule)

        def denoise(x, t, times=times, exact=exact):
            times.append(t)
            return exact(x, t)

        timesteps = np.array([1.0, 0.1])
        (step,) = adaptive_ode(denoise, schedule, x, timesteps, rtol=tolerance, atol=tolerance)
        found.append((len(times), np.abs(step.x - truth).max()))
        assert min(times) >= 0.1
    (few, coarse), (some, fine), (many, finest) = found
    assert few < some < many < 200
    assert coarse > 10 * fine > 100 * finest


def test_device_results_equal_host_results() -> None:
    schedule, x = SCHEDULES["vp"](), np.array([[1.3, -0.2]])
    timesteps = np.array([1.0, 0.5, 0.0])
    host = list(adaptive_ode(DATA.denoiser(schedule), schedule, x, timesteps))
    device = adaptive_ode(DATA.denoiser(schedule), schedule, strict.xp.asarray(x), timesteps)
    for a, b in zip(host, device, strict=True):
        np.testing.assert_allclose(b.x.get(), a.x, rtol=1e-9)
        np.testing.assert_allclose(b.x0_hat.get(), a.x0_hat, rtol=1e-9)


def test_an_unsolvable_problem_raises() -> None:
    """The slope has a pole, at which the step size goes to 0."""
    schedule = SCHEDULES["edm"]()

    def denoise(x, t):
        eps = 1.0 / np.sqrt(np.abs(t - 1.0) + 1e-30) ** 3 * np.sign(t - 1.0) + 0.0 * x
        return x - t * eps, eps

    steps = adaptive_ode(denoise, schedule, np.ones((1, 1)), np.array([2.0, 0.5]))
    with pytest.raises(InputError, match="could not be solved to rtol 1e-05"):
        next(steps)
