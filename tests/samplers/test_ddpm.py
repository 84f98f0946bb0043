"""Ancestral sampling: what it makes of Gaussian data, exactly, with each variance."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.exact import Gaussian
from npdiff.samplers import ddpm
from npdiff.schedules import SCHEDULES, linear_betas
from npdiff.spacings import SPACINGS, linspace
from npdiff.variances import optimal_variance

VARIANCES = ("small", "large")


def deviation(variance, schedule, timesteps: np.ndarray, data_variance: float) -> float:
    """The standard deviation of what comes out, without drawing a sample.

    With the exact denoiser of N(0, s^2) every step is linear in (x, z): the response to a unit of
    each input is read off, and the variances add up.
    """
    count = len(timesteps) - 1
    x = np.zeros((count + 1, 1))
    x[count] = 1.0

    def impulse(i: int) -> np.ndarray:
        return (np.arange(count + 1) == i).astype(float)[:, None]

    denoise = Gaussian([0.0], data_variance).denoiser(schedule)
    *_, last = ddpm(denoise, schedule, x, timesteps, variance=variance, noise=impulse)
    return float(np.sqrt((last.x**2).sum()))


@pytest.mark.parametrize(
    ("data_variance", "steps", "small", "large"),
    [
        (1.0, 1000, 0.99552, 0.99995),
        (1.0, 100, 0.95962, 0.99995),
        (1.0, 10, 0.72165, 0.99995),
        (0.25, 1000, 0.99222, 1.00150),
        (0.25, 100, 0.93591, 1.01716),
        (0.25, 10, 0.64567, 1.19753),
        (0.01, 1000, 0.96311, 1.00766),
        (0.01, 100, 0.79337, 1.12984),
        (0.01, 10, 0.26794, 3.54357),
    ],
)
def test_the_deviation_of_gaussian_samples(
    data_variance: float, steps: int, small: float, large: float
) -> None:
    """Its ratio to the truth, against a recursion of variances that was worked out elsewhere."""
    table = linear_betas()
    timesteps, truth = linspace(table, steps), np.sqrt(data_variance)
    best = optimal_variance(
        table, lambda t: float(1.0 / (1.0 / data_variance + np.exp(table.log_snr(t))))
    )
    for variance, ratio in (("small", small), ("large", large), (best, 1.0)):
        value = deviation(variance, table, timesteps, data_variance) / truth
        np.testing.assert_allclose(value, ratio, atol=6e-6)


@pytest.mark.parametrize("grid", ["trailing", "leading", "linspace", "log-snr"])
def test_small_is_right_for_a_point_and_large_for_white_noise(grid: str) -> None:
    """DDPM's remark in section 3.2, at every time of a strided chain."""
    table = linear_betas()
    timesteps = SPACINGS[grid](table, 12)
    for k in range(2, 12):
        np.testing.assert_allclose(
            deviation("small", table, timesteps[:k], 0.0) ** 2,
            # the start has variance 1, not sigma^2: the surplus is carried along
            table.sigma(timesteps[k - 1]) ** 2
            + (1 - table.sigma(timesteps[0]) ** 2)
            * (
                (table.sigma(timesteps[k - 1]) ** 2 * table.alpha(timesteps[0]))
                / (table.sigma(timesteps[0]) ** 2 * table.alpha(timesteps[k - 1]))
            )
            ** 2,
            rtol=1e-9,
        )
        np.testing.assert_allclose(deviation("large", table, timesteps[:k], 1.0), 1, rtol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("variance", VARIANCES)
def test_the_last_step_to_the_data_is_its_estimate(name: str, variance: str) -> None:
    schedule = SCHEDULES[name]()
    x = np.ones((2, 3))
    denoise = Gaussian([0.3, 0.2, 0.1], 0.5).denoiser(schedule)
    timesteps = np.array([schedule.t_min, 0.0])
    (step,) = ddpm(denoise, schedule, x, timesteps, variance=variance)  # and it needs no noise
    np.testing.assert_allclose(step.x, step.x0_hat, rtol=1e-14)
    assert step.t == 0


def test_noise_is_needed() -> None:
    table = linear_betas()
    with pytest.raises(InputError, match="given no noise"):
        next(ddpm(lambda x, t: (x, x), table, np.ones((1, 1)), np.array([5.0, 1.0])))
