"""Guidance intervals: their ends, and which denoiser is evaluated."""

import math

import numpy as np
import pytest

from npdiff.backend import to_host
from npdiff.errors import InputError
from npdiff.guidance import guidance_interval
from npdiff.schedules import linear_betas
from npdiff.verify import strict

SCHEDULE = linear_betas()
LEVEL = [math.exp(-0.5 * float(SCHEDULE.log_snr(t))) for t in (100.0, 900.0)]


def guided(x, t):
    return x + 1.0, x + 2.0


def cond(x, t):
    return x - 1.0, x - 2.0


def never(x, t):
    raise AssertionError("evaluated without need")


def test_low_is_excluded_and_high_included() -> None:
    x = np.zeros((1, 2))
    for low, high, inside in (
        (LEVEL[0], math.inf, False),
        (LEVEL[0] * (1 - 1e-9), math.inf, True),
        (0.0, LEVEL[0] * (1 + 1e-9), True),
        (0.0, LEVEL[0] * (1 - 1e-9), False),
    ):
        x_0, _ = guidance_interval(guided, cond, SCHEDULE, low, high)(x, 100.0)
        assert x_0[0, 0] == (1.0 if inside else -1.0)


def test_zero_to_infinity_covers_every_noise_level() -> None:
    """Including pure noise."""
    x = np.zeros((3, 2))
    denoise = guidance_interval(guided, never, SCHEDULE, 0.0, math.inf)
    assert all(denoise(x, t)[0][0, 0] == 1.0 for t in (1.0, 500.0, 1000.0))


def test_at_a_scalar_time_one_denoiser_is_evaluated() -> None:
    x = np.zeros((1, 2))
    assert guidance_interval(guided, never, SCHEDULE, *LEVEL)(x, 500.0) is not None
    assert guidance_interval(never, cond, SCHEDULE, *LEVEL)(x, 50.0) is not None
    assert guidance_interval(never, cond, SCHEDULE, *LEVEL)(x, 950.0) is not None


def test_one_time_per_sample_on_a_device() -> None:
    x, t = np.zeros((3, 2), dtype=np.float32), np.array([50.0, 500.0, 950.0])
    for values in (x, strict.xp.asarray(x)):
        x_0, eps = (
            to_host(a) for a in guidance_interval(guided, cond, SCHEDULE, *LEVEL)(values, t)
        )
        assert x_0[:, 0].tolist() == [-1.0, 1.0, -1.0]
        assert eps[:, 0].tolist() == [-2.0, 2.0, -2.0]
        assert x_0.dtype == np.float32


@pytest.mark.parametrize(
    ("low", "high"), [(-1.0, 2.0), (2.0, 2.0), (3.0, 2.0), (math.nan, 1.0), (0.0, math.nan)]
)
def test_empty_intervals_are_rejected(low: float, high: float) -> None:
    with pytest.raises(InputError, match="low < high"):
        guidance_interval(guided, cond, SCHEDULE, low, high)
