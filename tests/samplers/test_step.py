"""The noise of samplers."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.random import Key
from npdiff.samplers.step import draw, keyed_noise


def test_keyed_noise_depends_only_on_sample_and_index() -> None:
    x = np.zeros((4, 3, 2), dtype=np.float32)
    key = Key(7, (0, 1, 2, 3), step=99, stream="sample")
    noise = keyed_noise(key, x)
    part = keyed_noise(Key(7, (2, 0), stream="sample"), x[:2])
    for i in (0, 1, 50):
        assert noise(i).dtype == np.float32
        np.testing.assert_array_equal(noise(i)[[2, 0]], part(i))
    assert not (noise(0) == noise(1)).any()


def test_keyed_noise_is_standard_normal_and_uncorrelated_between_steps() -> None:
    x = np.zeros((4000, 5))
    noise = keyed_noise(Key(0, range(4000)), x)
    z = np.stack([noise(i) for i in range(3)]).reshape(3, -1)
    se = 1 / np.sqrt(z.shape[1])
    np.testing.assert_allclose(z.mean(axis=1), 0, atol=5 * se)
    np.testing.assert_allclose(np.cov(z), np.eye(3), atol=5 * np.sqrt(2) * se)


def test_draw_casts_to_the_dtype_of_the_state() -> None:
    x = np.zeros((2, 3), dtype=np.float32)
    assert draw(lambda i: np.full((2, 3), float(i)), 4, x).dtype == np.float32
    assert (draw(lambda i: np.full((2, 3), float(i)), 4, x) == 4).all()


def test_missing_noise_and_noise_of_another_shape_are_rejected() -> None:
    x = np.zeros((2, 3))
    with pytest.raises(InputError, match="stochastic and needs noise"):
        draw(None, 0, x)
    with pytest.raises(InputError, match=r"shape \(2, 1\), expected \(2, 3\)"):
        draw(lambda i: np.zeros((2, 1)), 0, x)
