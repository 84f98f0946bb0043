"""SDEdit, inversion, interpolation: strength, round trips, end points, float32, devices."""

import numpy as np
import pytest

from npdiff.editing import decode, encode, interpolate_encodings, sdedit, slerp, start_index
from npdiff.errors import InputError
from npdiff.exact import Gaussian, Mixture
from npdiff.random import Key
from npdiff.samplers import keyed_noise
from npdiff.schedules import SCHEDULES, LinearVP
from npdiff.spacings import SPACINGS
from npdiff.verify import strict

SCHEDULE = LinearVP()
DATA = Gaussian([0.7, -0.4], [[0.5, 0.2], [0.2, 0.3]])
TWO = Mixture([0.4, 0.6], [Gaussian([-1.0, 0.2], 0.04), Gaussian([0.6, -0.3], 0.09)])


@pytest.mark.parametrize("name", ["vp", "rectified-flow", "cosine"])
def test_a_larger_strength_moves_further_from_the_image(name: str) -> None:
    schedule = SCHEDULES[name]()
    x_0 = np.tile([2.5, 1.0], (200, 1))
    noise = keyed_noise(Key(1, range(200)), x_0)
    timesteps = SPACINGS["trailing"](schedule, 20)
    distances = []
    for strength in (0.05, 0.3, 0.6, 1.0):
        edited = list(
            sdedit(
                DATA.denoiser(schedule), schedule, x_0, timesteps, noise=noise, strength=strength
            )
        )
        assert len(edited) == round(20 * strength)
        distances.append(np.linalg.norm(edited[-1].x - x_0, axis=1).mean())
    assert (np.diff(distances) > 0).all()
    assert distances[0] < 0.3 < 1.5 < distances[-1]


def test_sdedit_and_its_sampler_use_different_noise_indices() -> None:
    drawn: list[int] = []
    x = np.zeros((1, 2))

    def noise(i: int) -> np.ndarray:
        drawn.append(i)
        return x + 0.1

    timesteps = SPACINGS["trailing"](SCHEDULE, 6)
    list(sdedit(DATA.denoiser(SCHEDULE), SCHEDULE, x, timesteps, noise=noise, sampler="ddpm"))
    assert drawn == [0, 1, 2]  # three steps, and the last adds no noise


@pytest.mark.parametrize("strength", [0.0, -0.5, 1.01, np.nan])
def test_invalid_strengths_are_refused(strength: float) -> None:
    with pytest.raises(InputError, match="strength must be"):
        start_index(np.linspace(1, 0, 5), strength)


def test_the_round_trip_error_is_first_order_and_vanishes_with_corrections() -> None:
    x = TWO.sample(Key(5, range(20)))
    errors = []
    for steps in (50, 100, 200):
        timesteps = SPACINGS["log-snr"](SCHEDULE, steps)[:-1]  # with noise left at the end
        there = encode(DATA.denoiser(SCHEDULE), SCHEDULE, x, timesteps)
        back = decode(DATA.denoiser(SCHEDULE), SCHEDULE, there, timesteps)
        errors.append(np.abs(back - x).mean())
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (np.abs(slopes - 1) < 0.15).all(), slopes
    timesteps = SPACINGS["log-snr"](SCHEDULE, 40)[:-1]
    there = encode(TWO.denoiser(SCHEDULE), SCHEDULE, x, timesteps, corrections=40)
    back = decode(TWO.denoiser(SCHEDULE), SCHEDULE, there, timesteps)
    assert np.abs(back - x).max() < 1e-9 < errors[-1]


def test_interpolation_reproduces_its_end_points() -> None:
    a, b = np.array([[-1.1, 0.5]]), np.array([[0.6, -0.3]])
    timesteps = SPACINGS["log-snr"](SCHEDULE, 20)
    denoise = TWO.denoiser(SCHEDULE)
    for w, end in ((0.0, a), (1.0, b)):
        found = interpolate_encodings(denoise, SCHEDULE, a, b, w, timesteps, corrections=40)
        np.testing.assert_allclose(found, end, atol=1e-8)
    found = interpolate_encodings(denoise, SCHEDULE, a, a, 0.3, timesteps, corrections=40)
    np.testing.assert_allclose(found, a, atol=1e-8)


def test_slerp_keeps_the_length_of_noise() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 8, 8, 1)).astype(np.float32)
    w = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    between = slerp(a, b, w)
    assert between.dtype == np.float32
    lengths = [np.sqrt((p.reshape(5, -1) ** 2).sum(axis=1)) for p in (a, b, between)]
    straight = 0.5 * (a + b)
    assert (lengths[2] > 0.9 * np.minimum(*lengths[:2])).all()
    assert np.sqrt((straight[2] ** 2).sum()) < 0.8 * lengths[0][2]
    placed = slerp(strict.xp.asarray(a), strict.xp.asarray(b), w)
    np.testing.assert_array_equal(placed.get(), between)


def test_slerp_refuses_opposite_points_zero_and_unequal_shapes() -> None:
    a = np.array([[1.0, 2.0], [0.5, 0.1]])
    with pytest.raises(InputError, match="opposite"):
        slerp(a, a * [[1.0], [-2.0]], 0.5)
    with pytest.raises(InputError, match="or b is 0"):
        slerp(a, np.zeros_like(a), 0.5)
    with pytest.raises(InputError, match="one shape"):
        slerp(a, a[:1], 0.5)
