"""Sampling with functions in place of names: samplers, spacings, and their options."""

from itertools import pairwise

import numpy as np
import pytest

from npdiff.backend import per_sample
from npdiff.errors import InputError
from npdiff.generation import SamplingConfig, generate, load
from npdiff.samplers import SAMPLERS, Step, ddim, sample
from npdiff.schedules import SCHEDULES
from npdiff.spacings import SPACINGS, trailing


def plain_ddim(denoise, schedule, x, timesteps):
    """DDIM without options and without noise."""
    for t, s in pairwise(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        x = per_sample(schedule.alpha(s), x) * x0_hat + per_sample(schedule.sigma(s), x) * eps_hat
        yield Step(float(s), x, x0_hat)


def noisy(denoise, schedule, x, times, *, noise=None, scale=0.5, **others):
    """A stochastic sampler with options and other names of arguments."""
    for i, step in enumerate(plain_ddim(denoise, schedule, x, times)):
        yield step._replace(x=step.x + scale * 0.01 * noise(i))


def squares(schedule, steps, power=2.0):
    """Timesteps that are dense near the data."""
    return schedule.t_max * np.linspace(1.0, 0.0, steps + 1) ** power


@pytest.fixture(scope="module")
def checkpoint():
    return load()


@pytest.fixture
def exact():
    """A denoiser in closed form for data N(0, I), with its schedule, state and timesteps."""
    schedule = SCHEDULES["cosine"]()

    def denoise(x, t):
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        return alpha * x, sigma * x

    return denoise, schedule, np.ones((2, 3), np.float32), trailing(schedule, 4)


def test_a_sampler_function_equals_its_name(checkpoint):
    found = generate(checkpoint, [7], sampler=plain_ddim, steps=3, seed=1)
    expected = generate(checkpoint, [7], sampler="ddim", steps=3, seed=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(
        expected, generate(checkpoint, [7], sampler=ddim, steps=3, seed=1)
    )


def test_options_come_from_the_dictionary_or_the_keyword(checkpoint):
    common = {"labels": [7], "steps": 3, "seed": 1}
    named = generate(checkpoint, sampler={"name": "ddim", "eta": 0.5}, **common)
    apart = generate(checkpoint, sampler="ddim", options={"eta": 0.5}, **common)
    function = generate(checkpoint, sampler=ddim, options={"eta": 0.5}, **common)
    np.testing.assert_array_equal(named, apart)
    np.testing.assert_array_equal(named, function)
    assert np.abs(named - generate(checkpoint, **common)).max() > 1e-2


def test_noise_and_options_are_passed_if_the_function_takes_them(checkpoint, exact):
    weak, strong = (
        generate(checkpoint, [7], sampler=noisy, steps=3, options={"scale": scale, "more": 1})
        for scale in (0.0, 9.0)
    )
    assert np.abs(weak - strong).max() > 1e-3
    denoise, schedule, x, timesteps = exact
    with pytest.raises(InputError, match="sampler 'plain_ddim' has no option 'eta'"):
        sample(plain_ddim, denoise, schedule, x, timesteps, eta=1.0)
    with pytest.raises(InputError, match="'scale' of sampler 'noisy' must be a number"):
        sample(noisy, denoise, schedule, x, timesteps, scale="much")


def test_numpy_scalars_as_options_keep_float32(exact):
    denoise, schedule, x, timesteps = exact
    for options in ({"eta": np.float64(0.5)}, {"eta": np.float32(0.5)}, {"eta": np.array(0.5)}):
        *_, last = sample("ddim", denoise, schedule, x, timesteps, lambda i: x, **options)
        assert last.x.dtype == np.float32
    *_, last = sample("lms", denoise, schedule, x, timesteps, order=np.int64(3))
    assert last.x.dtype == np.float32
    with pytest.raises(InputError, match="'order' of sampler 'lms' must be an integer"):
        sample("lms", denoise, schedule, x, timesteps, order=np.float64(3))
    *_, last = sample(plain_ddim, denoise, schedule, x, timesteps)
    assert last.x.dtype == np.float32


def test_spacings_are_names_names_with_options_or_functions(checkpoint):
    schedule = checkpoint.schedule
    for spacing, expected in (
        (squares, squares(schedule, 4)),
        ({"name": "karras", "rho": 5}, SPACINGS["karras"](schedule, 4, rho=5)),
        ("linspace", SPACINGS["linspace"](schedule, 4)),
    ):
        config = SamplingConfig(spacing=spacing, steps=4)
        np.testing.assert_array_equal(config.timesteps(schedule), expected)
        assert generate(checkpoint, [3], spacing=spacing, steps=4).shape == (1, 32, 32, 1)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"sampler": 3}, "a sampler is a name, a dictionary"),
        ({"sampler": "dimm"}, "did you mean 'ddim'"),
        ({"sampler": {"name": "ddim", "etta": 1.0}}, "has no option 'etta': its options are eta"),
        ({"spacing": [1000.0, 0.0]}, "a timestep spacing is a name"),
        ({"spacing": {"name": "karras", "roh": 5}}, "has no option 'roh'"),
        ({"guidence": 2.0}, "unknown option 'guidence' of generate"),
    ],
)
def test_invalid_values_are_refused_by_the_configuration(checkpoint, config, words):
    with pytest.raises(InputError, match=words):
        generate(checkpoint, [0], **config)


def test_the_repr_and_the_plain_values_of_a_configuration():
    assert repr(SamplingConfig()) == "SamplingConfig()"
    config = SamplingConfig(plain_ddim, 20, {"name": "karras", "rho": 5}, guidance=np.float64(2))
    assert repr(config) == (
        "SamplingConfig(sampler=plain_ddim, steps=20, spacing={'name': 'karras', 'rho': 5}, "
        "guidance=2.0)"
    )
    assert config.to_dict()["sampler"] == {
        "object": "plain_ddim", "type": f"{__name__}.plain_ddim",
    }  # fmt: skip


def test_a_registered_sampler_is_a_name(checkpoint):
    SAMPLERS.register("plain", plain_ddim)
    try:
        found = generate(checkpoint, [7], sampler="plain", steps=2)
        np.testing.assert_array_equal(found, generate(checkpoint, [7], sampler=plain_ddim, steps=2))
    finally:
        SAMPLERS.remove("plain")
