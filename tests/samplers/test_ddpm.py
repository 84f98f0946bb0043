"""Ancestral sampling: the exact variance of its samples of Gaussian data."""

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
    """The exact standard deviation of the samples, without drawing any.

    With the exact denoiser of N(0, s^2) every step is linear in (x, z): the responses to unit
    inputs are evaluated, and their squares summed.
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
def test_standard_deviation_of_gaussian_samples(
    data_variance: float, steps: int, small: float, large: float
) -> None:
    """Its ratio to that of the data, against an independent recursion of variances."""
    schedule = linear_betas()
    timesteps, truth = linspace(schedule, steps), np.sqrt(data_variance)
    best = optimal_variance(
        schedule, lambda t: float(1.0 / (1.0 / data_variance + np.exp(schedule.log_snr(t))))
    )
    for variance, ratio in (("small", small), ("large", large), (best, 1.0)):
        value = deviation(variance, schedule, timesteps, data_variance) / truth
        np.testing.assert_allclose(value, ratio, atol=6e-6)


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace", "log-snr"])
def test_small_is_exact_for_a_point_and_large_for_white_noise(spacing: str) -> None:
    """As DDPM remarks in section 3.2, at every one of the timesteps."""
    schedule = linear_betas()
    timesteps = SPACINGS[spacing](schedule, 12)
    for k in range(2, 12):
        np.testing.assert_allclose(
            deviation("small", schedule, timesteps[:k], 0.0) ** 2,
            # the start has variance 1, not sigma^2: the difference propagates
            schedule.sigma(timesteps[k - 1]) ** 2
            + (1 - schedule.sigma(timesteps[0]) ** 2)
            * (
                (schedule.sigma(timesteps[k - 1]) ** 2 * schedule.alpha(timesteps[0]))
                / (schedule.sigma(timesteps[0]) ** 2 * schedule.alpha(timesteps[k - 1]))
            )
            ** 2,
            rtol=1e-9,
        )
        np.testing.assert_allclose(deviation("large", schedule, timesteps[:k], 1.0), 1, rtol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("variance", VARIANCES)
def test_the_step_to_the_data_returns_x0_hat(name: str, variance: str) -> None:
    schedule = SCHEDULES[name]()
    x = np.ones((2, 3))
    denoise = Gaussian([0.3, 0.2, 0.1], 0.5).denoiser(schedule)
    timesteps = np.array([schedule.t_min, 0.0])
    (step,) = ddpm(denoise, schedule, x, timesteps, variance=variance)  # needs no noise
    np.testing.assert_allclose(step.x, step.x0_hat, rtol=1e-14)
    assert step.t == 0


def test_ddpm_needs_noise() -> None:
    schedule = linear_betas()
    with pytest.raises(InputError, match="needs noise"):
        next(ddpm(lambda x, t: (x, x), schedule, np.ones((1, 1)), np.array([5.0, 1.0])))
