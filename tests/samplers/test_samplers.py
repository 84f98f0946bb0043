"""Any sampler with any schedule and any row: laws, orders of convergence, and refusals."""

import numpy as np
import pytest
from scipy.special import ndtr

from npdiff.denoiser import Denoiser
from npdiff.errors import InputError
from npdiff.exact import Gaussian, Mixture
from npdiff.grids import log_snr, trailing
from npdiff.parameterisation import ROWS
from npdiff.random import Key
from npdiff.samplers import SAMPLERS, keyed_noise, options_of, sample
from npdiff.schedules import SCHEDULES

ALL = {name: SCHEDULES[name]() for name in ("linear", "cosine", "vp", "cosine-continuous")}
DATA = Gaussian([0.7, -0.4], np.array([[0.5, 0.2], [0.2, 0.3]]))
TWO = Mixture([0.4, 0.6], [Gaussian([-1.0], 0.04), Gaussian([0.6], 0.04)])
#: Every way to sample: the name and its options.
WAYS = {
    "ddpm-small": ("ddpm", {"variance": "small"}),
    "ddpm-large": ("ddpm", {"variance": "large"}),
    "ddim": ("ddim", {}),
    "ddim-half": ("ddim", {"eta": 0.5}),
    "euler": ("euler", {}),
    "heun": ("heun", {}),
}
ways = pytest.mark.parametrize("way", WAYS)
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)


def last(way: str, denoise, schedule, x, times) -> np.ndarray:
    name, options = WAYS[way]
    noise = keyed_noise(Key(5, range(x.shape[0]), stream="test"), x)
    *_, step = sample(name, denoise, schedule, x, times, noise, **options)
    return step.x


def test_every_sampler_is_tried() -> None:
    assert {name for name, _ in WAYS.values()} == set(SAMPLERS)


@ways
@everywhere
@pytest.mark.parametrize("row", ROWS)
def test_any_sampler_any_schedule_any_row(way: str, schedule, row: str) -> None:
    """A perfect network answers alike in every parameterisation; the samples do not differ."""
    exact = DATA.denoiser(schedule)
    unit = schedule.t_max / 1000

    def network(shown, clock):
        t = np.minimum(clock * unit, schedule.t_max)
        x = shown / ROWS[row].shown(schedule, np.ones_like(shown), t)
        return ROWS[row].target(schedule, *exact(x, t), t)

    x = np.random.default_rng(0).normal(size=(3, 2))
    times = trailing(schedule, 8)
    expected = last(way, exact, schedule, x, times)
    value = last(way, Denoiser(network, schedule, ROWS[row]), schedule, x, times)
    np.testing.assert_allclose(value, expected, rtol=1e-8, atol=1e-10)


@ways
@everywhere
def test_the_law_of_gaussian_samples(way: str, schedule) -> None:
    """Mean and covariance within five standard errors of the data's, and the method's own bias.

    The bias allowed, 1 % of a standard deviation in the mean and 3 % in the covariance, covers a
    thousand steps of every method; it is measured exactly in the tests of each.
    """
    M = 2000
    x = Key(11, range(M), stream="start").normal((2,))
    value = last(way, DATA.denoiser(schedule), schedule, x, trailing(schedule, 500))
    covariance = DATA.axes @ np.diag(DATA.variances) @ DATA.axes.T
    np.testing.assert_allclose(covariance, [[0.5, 0.2], [0.2, 0.3]])  # what was asked for
    deviation = np.sqrt(np.diag(covariance))
    np.testing.assert_array_less(
        np.abs(value.mean(axis=0) - DATA.mean), deviation * (5 / np.sqrt(M) + 0.01)
    )
    scale = np.outer(deviation, deviation)
    np.testing.assert_array_less(
        np.abs(np.cov(value.T) - covariance), scale * (5 * np.sqrt(2 / M) + 0.03)
    )


@ways
@everywhere
def test_the_law_of_samples_of_a_mixture(way: str, schedule) -> None:
    """Kolmogorov and Smirnov's distance to the distribution function of the data.

    1.95 / sqrt(M) is exceeded by chance once in a thousand draws; 0.02 is left to the method.
    """
    M = 2000
    x = Key(12, range(M), stream="start").normal((1,))
    value = np.sort(last(way, TWO.denoiser(schedule), schedule, x, trailing(schedule, 300))[:, 0])
    F = 0.4 * ndtr((value + 1) / 0.2) + 0.6 * ndtr((value - 0.6) / 0.2)
    distance = max((np.arange(1, M + 1) / M - F).max(), (F - np.arange(M) / M).max())
    assert distance < 1.95 / np.sqrt(M) + 0.02


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("euler", 1), ("heun", 2)])
@pytest.mark.parametrize("grid", ["time", "log-snr"])
@pytest.mark.parametrize("schedule", ["vp", "cosine-continuous"])
@pytest.mark.parametrize("data", [DATA, TWO], ids=["gaussian", "mixture"])
def test_order_of_convergence(name: str, order: int, grid: str, schedule: str, data) -> None:
    """The error against the exact solution falls by 2^order when the steps are doubled.

    Stopped where sigma is positive, at log-SNR 4: the step to 0 would leave a floor of its own.
    """
    schedule = ALL[schedule]
    end = float(schedule.time_at(4.0))
    D = 2 if data is DATA else 1
    x = np.linspace(-1.7, 1.6, 6 * D).reshape(6, D)
    truth = data.flow(schedule, x, 1.0, end)
    errors = []
    for steps in (128, 256, 512):
        if grid == "time":
            times = np.linspace(1.0, end, steps + 1)
        else:
            times = schedule.time_at(np.linspace(schedule.log_snr(1.0), 4.0, steps + 1))
            times[0], times[-1] = 1.0, end
        *_, step = sample(name, data.denoiser(schedule), schedule, x, times)
        errors.append(np.abs(step.x - truth).max())
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(slopes, order, atol=0.12)


@ways
@everywhere
def test_float32_stays_float32_and_every_step_is_told(way: str, schedule) -> None:
    x = np.random.default_rng(3).normal(size=(2, 2)).astype(np.float32)
    times = log_snr(schedule, 5)
    name, options = WAYS[way]

    def noise(i: int) -> np.ndarray:
        return np.full(x.shape, 0.1)  # float64: the sampler casts

    steps = list(sample(name, DATA.denoiser(schedule), schedule, x, times, noise, **options))
    assert [step.t for step in steps] == times[1:].tolist()
    for step in steps:
        assert step.x.dtype == step.x_0.dtype == np.float32
        assert step.x.shape == step.x_0.shape == x.shape


@ways
def test_a_sample_does_not_depend_on_its_neighbours(way: str) -> None:
    schedule = ALL["linear"]
    x = np.random.default_rng(4).normal(size=(4, 2))
    name, options = WAYS[way]
    both = []
    for rows in ([0, 1, 2, 3], [2]):
        noise = keyed_noise(Key(5, rows), x[rows])
        *_, step = sample(
            name,
            DATA.denoiser(schedule),
            schedule,
            x[rows],
            trailing(schedule, 9),
            noise,
            **options,
        )
        both.append(step.x)
    np.testing.assert_allclose(both[0][2:3], both[1], rtol=1e-12)


def test_options() -> None:
    assert {name: options_of(name) for name in SAMPLERS} == {
        "ddpm": ("variance",),
        "ddim": ("eta",),
        "euler": (),
        "heun": (),
    }


def refuse(match: str, name: str = "ddim", times=(1000.0, 500.0, 0.0), **options) -> None:
    """Before the first step: the call itself raises."""
    schedule = ALL["linear"]
    with pytest.raises(InputError, match=match):
        sample(name, DATA.denoiser(schedule), schedule, np.ones((1, 2)), times, **options)


def test_refusals() -> None:
    refuse("unknown sampler 'plms': choose one of ddpm, ddim, euler, heun", name="plms")
    refuse("'ddim' has no option 'variance': its options are eta", variance="small")
    refuse("'heun' has no option 'eta': it has none", name="heun", eta=1.0)
    refuse("descend strictly", times=(0.0, 500.0, 1000.0))
    refuse("descend strictly", times=(500.0, 500.0, 0.0))
    refuse("at least two times", times=(1000.0,))
    refuse("at least two times", times=((1000.0, 0.0),))
    refuse("lies outside of this schedule", times=(1001.0, 0.0))
    refuse("lies outside of this schedule", times=(1000.0, -1.0))
