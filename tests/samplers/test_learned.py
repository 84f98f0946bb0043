"""Networks with learned variance: both halves of the output from one evaluation."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.samplers import ddpm
from npdiff.samplers.learned import with_variance
from npdiff.schedules import linear_betas


def noise(i: int) -> np.ndarray:
    return np.random.default_rng(i).normal(size=(3, 2, 2))


@pytest.mark.parametrize(("value", "name"), [(-1.0, "small"), (1.0, "large")])
def test_outputs_of_minus_one_and_one_are_the_named_variances(value: float, name: str) -> None:
    """2 v - 1 = -1 is small, 1 is large; and the network runs once per step."""
    schedule, calls = linear_betas(), []

    def network(x: np.ndarray, timestep: np.ndarray) -> np.ndarray:
        calls.append(float(timestep[0]))
        return np.concatenate([0.3 * x, np.full_like(x, value)], axis=-1)

    denoise, variance = with_variance(network, schedule, PARAMETERIZATIONS["eps"])
    x, timesteps = noise(99), np.array([900.0, 500.0, 100.0, 1.0])
    found = list(ddpm(denoise, schedule, x, timesteps, variance=variance, noise=noise))
    assert calls == [900.0, 500.0, 100.0]
    expected = list(ddpm(denoise, schedule, x, timesteps, variance=name, noise=noise))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.x, b.x, rtol=1e-12)


def test_variance_belongs_to_its_argument() -> None:
    """Not to the state that was denoised last."""
    schedule = linear_betas()

    def network(x: np.ndarray, timestep: np.ndarray) -> np.ndarray:
        return np.concatenate([x, np.tanh(x)], axis=-1)

    denoise, variance = with_variance(network, schedule, PARAMETERIZATIONS["eps"])
    one, other = noise(1), noise(2)
    expected = variance(one, 10.0, 20.0)
    denoise(other, 20.0)
    np.testing.assert_array_equal(variance(one, 10.0, 20.0), expected)


def test_a_network_without_variance_is_rejected() -> None:
    denoise, _ = with_variance(lambda x, timestep: x, linear_betas(), PARAMETERIZATIONS["eps"])
    with pytest.raises(InputError, match="twice the channels"):
        denoise(noise(0), 10.0)


def test_the_step_to_the_data_has_variance_zero() -> None:
    """For any output of the network, also above the large variance."""
    schedule = linear_betas(10)
    denoise, variance = with_variance(
        lambda x, timestep: np.concatenate([x, np.full_like(x, 1.5)], axis=-1),
        schedule,
        PARAMETERIZATIONS["eps"],
    )
    x = np.ones((2, 3))
    denoise(x, 1.0)
    assert variance(x, 0.0, 1.0) == 0.0
    assert np.isfinite(variance(x, 1.0, 2.0)).all()
