"""Every sampler with every schedule and prediction type: limits, dtypes, distributions."""

import numpy as np
import pytest
from scipy.special import ndtr

from npdiff.denoiser import Denoiser
from npdiff.exact import Gaussian, Mixture
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.samplers import SAMPLERS, keyed_noise, options_of, sample
from npdiff.schedules import SCHEDULES
from npdiff.spacings import log_snr, trailing

ALL = {name: make() for name, make in SCHEDULES.items()}
DATA = Gaussian([0.7, -0.4], np.array([[0.5, 0.2], [0.2, 0.3]]))
TWO = Mixture([0.4, 0.6], [Gaussian([-1.0], 0.04), Gaussian([0.6], 0.04)])
#: Options other than the defaults.
OPTIONS = {
    "ddpm": {"variance": "large"},
    "ddim": {"eta": 0.5},
    "edm": {"s_churn": 2.0},
    "predictor-corrector": {"corrections": 2},
}
#: Options that make a test fast.
QUICK = {"ode": {"rtol": 1e-2, "atol": 1e-2}}
VARIANTS = {name: (name, QUICK.get(name, {})) for name in SAMPLERS} | {
    f"{name}, {', '.join(options)}": (name, options) for name, options in OPTIONS.items()
}
variants = pytest.mark.parametrize("variant", VARIANTS)
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)
samplers = pytest.mark.parametrize("name", SAMPLERS)


def last(variant: str, denoise, schedule, x, timesteps) -> np.ndarray:
    name, options = VARIANTS[variant]
    noise = keyed_noise(Key(5, range(x.shape[0]), stream="test"), x)
    *_, step = sample(name, denoise, schedule, x, timesteps, noise, **options)
    return step.x


def exact_network_denoiser(schedule, parameterization: str):
    """The denoiser of a network whose output is exact for this prediction type."""
    exact, times = DATA.denoiser(schedule), [0.0]
    scale = PARAMETERIZATIONS[parameterization].input_scale

    def network(network_input: np.ndarray, timestep: np.ndarray) -> np.ndarray:
        t = times[0]
        np.testing.assert_array_equal(timestep, schedule.timestep(t))
        x = network_input if scale is None else network_input / scale(schedule, t)
        return PARAMETERIZATIONS[parameterization].target(schedule, *exact(x, t), t)

    denoiser = Denoiser(network, schedule, PARAMETERIZATIONS[parameterization])

    def denoise(x: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
        times[0] = float(t)
        return denoiser(x, t)

    return denoise


@everywhere
@variants
def test_samples_do_not_depend_on_the_prediction_type(variant: str, schedule) -> None:
    """With exact networks, for every sampler and schedule."""
    x = np.random.default_rng(0).normal(size=(2, 2))
    timesteps = np.append(schedule.time_at(np.array([-1.0, 0.7, 3.0])), 0.0)
    exact = DATA.denoiser(schedule)
    expected = last(variant, exact, schedule, x, timesteps)
    assert np.isfinite(expected).all()
    for parameterization in PARAMETERIZATIONS:
        value = last(
            variant, exact_network_denoiser(schedule, parameterization), schedule, x, timesteps
        )
        np.testing.assert_allclose(value, expected, rtol=1e-8, atol=1e-9, err_msg=parameterization)


@everywhere
@samplers
def test_steps_from_pure_noise_and_to_the_data(name: str, schedule) -> None:
    """One or two steps from t_max; the step to the data returns x0_hat."""
    x = float(schedule.sigma(schedule.t_max)) * np.random.default_rng(1).normal(size=(2, 2))
    denoise, quick = DATA.denoiser(schedule), QUICK.get(name, {})

    def noise(i: int) -> np.ndarray:
        return np.full(x.shape, 0.3)

    for timesteps in ([1.0, 0.0], [1.0, 0.5, 0.0], [1.0, 0.6, 0.2]):
        steps = list(
            sample(name, denoise, schedule, x, schedule.t_max * np.array(timesteps), noise, **quick)
        )
        assert len(steps) == len(timesteps) - 1
    timesteps = np.array([schedule.t_min, 0.0])
    (step,) = sample(name, denoise, schedule, x, timesteps)  # needs no noise
    np.testing.assert_allclose(step.x, step.x0_hat, rtol=1e-12)
    assert step.t == 0.0


@variants
def test_distribution_of_samples_of_a_mixture(variant: str) -> None:
    """Its Kolmogorov-Smirnov distance to the distribution of the data.

    1.95 / sqrt(M) is exceeded by chance once in a thousand times; 0.02 allows for the bias of the
    method, which is measured exactly elsewhere.
    """
    M, schedule = 500, ALL["vp"]
    x = Key(12, range(M), stream="start").normal((1,))
    value = np.sort(last(variant, TWO.denoiser(schedule), schedule, x, log_snr(schedule, 80))[:, 0])
    F = 0.4 * ndtr((value + 1) / 0.2) + 0.6 * ndtr((value - 0.6) / 0.2)
    distance = max((np.arange(1, M + 1) / M - F).max(), (F - np.arange(M) / M).max())
    assert distance < 1.95 / np.sqrt(M) + 0.02


@pytest.mark.parametrize("schedule", ["cosine", "edm", "rectified-flow"])
@variants
def test_float32_stays_float32_and_every_step_is_yielded(variant: str, schedule: str) -> None:
    schedule = ALL[schedule]
    x = np.random.default_rng(3).normal(size=(2, 2)).astype(np.float32)
    timesteps = trailing(schedule, 5)
    name, options = VARIANTS[variant]

    def noise(i: int) -> np.ndarray:
        return np.full(x.shape, 0.1)  # float64: the sampler casts

    steps = list(sample(name, DATA.denoiser(schedule), schedule, x, timesteps, noise, **options))
    assert [step.t for step in steps] == timesteps[1:].tolist()
    for step in steps:
        assert step.x.dtype == step.x0_hat.dtype == np.float32
        assert step.x.shape == step.x0_hat.shape == x.shape


@variants
def test_a_sample_does_not_depend_on_its_batch(variant: str) -> None:
    schedule = ALL["linear"]
    x = np.random.default_rng(4).normal(size=(4, 2))
    name, options = VARIANTS[variant]
    both = []
    for rows in ([0, 1, 2, 3], [2]):
        noise = keyed_noise(Key(5, rows), x[rows])
        timesteps, denoise = trailing(schedule, 9), DATA.denoiser(schedule)
        *_, step = sample(name, denoise, schedule, x[rows], timesteps, noise, **options)
        both.append(step.x)
    adaptive = {"ode": 0.05}  # its steps depend on the batch: up to the tolerance
    np.testing.assert_allclose(both[0][2:3], both[1], rtol=adaptive.get(name, 1e-12))


@everywhere
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_equals_euler_ancestral_and_ddpm(schedule, eta: float) -> None:
    """For any eta, and at eta = 1 respectively."""
    x = np.random.default_rng(1).normal(size=(3, 2))
    denoise, timesteps = DATA.denoiser(schedule), trailing(schedule, 12)
    noise = keyed_noise(Key(3, range(3)), x)
    one = list(sample("ddim", denoise, schedule, x, timesteps, noise, eta=eta))
    other = list(sample("euler-ancestral", denoise, schedule, x, timesteps, noise, eta=eta))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.x, b.x, rtol=1e-7, atol=1e-9)
    if eta == 1.0:
        for a, b in zip(one, sample("ddpm", denoise, schedule, x, timesteps, noise), strict=True):
            np.testing.assert_allclose(a.x, b.x, rtol=1e-7, atol=1e-9)


def test_heun_equals_edm_where_time_is_sigma() -> None:
    schedule, x = ALL["edm"], 80.0 * np.random.default_rng(1).normal(size=(3, 2))
    denoise, timesteps = DATA.denoiser(schedule), np.array([80.0, 30.0, 5.0, 0.7, 0.0])
    steps = (sample(name, denoise, schedule, x, timesteps) for name in ("edm", "heun"))
    for a, b in zip(*steps, strict=True):
        np.testing.assert_allclose(a.x, b.x, rtol=1e-10)


def test_options_of_samplers_with_their_defaults() -> None:
    assert options_of("ddpm") == {"variance": "small"}
    assert options_of("heun") == {}
    assert options_of("lms") == {"order": 4, "start": "low"}
    assert options_of("edm") == {"s_churn": 0.0, "s_min": 0.0, "s_max": np.inf, "s_noise": 1.0}
    assert options_of("euler-ancestral") == options_of("dpm2-ancestral") == {"eta": 1.0}
    assert options_of("ddim") == {"eta": 0.0}
    assert options_of("predictor-corrector") == {"snr": 0.16, "corrections": 1}
    assert options_of("ode") == {"method": "RK45", "rtol": 1e-5, "atol": 1e-5}
    for name in SAMPLERS:  # the command line takes their types from the defaults
        assert all(isinstance(v, bool | int | float | str) for v in options_of(name).values())
