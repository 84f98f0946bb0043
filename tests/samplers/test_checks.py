"""Rejected names, times, states and options of samplers, and results that are not finite."""

import math

import numpy as np
import pytest

from npdiff.denoiser import Denoiser
from npdiff.errors import InputError
from npdiff.exact import Gaussian
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.samplers import SAMPLERS, sample
from npdiff.schedules import SCHEDULES
from npdiff.spacings import SPACINGS
from npdiff.verify import strict

LINEAR = SCHEDULES["linear"]()
DATA = Gaussian([0.7, -0.4], 0.3)


def assert_rejected(
    match: str, name: str = "ddim", timesteps=(1000.0, 500.0, 0.0), x=None, **options
) -> None:
    """Before the first step: the call itself raises."""
    x = np.ones((1, 2)) if x is None else x
    with pytest.raises(InputError, match=match):
        sample(name, DATA.denoiser(LINEAR), LINEAR, x, timesteps, **options)


def test_invalid_names_timesteps_and_states_are_rejected() -> None:
    assert_rejected(r"unknown sampler 'plm': did you mean 'plms'\? known: ddpm, ddim", name="plm")
    assert_rejected("'ddim' has no option 'variance': its options are eta", variance="small")
    assert_rejected("'heun' has no option 'eta': it has no options", name="heun", eta=1.0)
    assert_rejected("must be strictly descending", timesteps=(0.0, 500.0, 1000.0))
    assert_rejected("must be strictly descending", timesteps=(500.0, 500.0, 0.0))
    assert_rejected("at least two descending times", timesteps=(1000.0,))
    assert_rejected("at least two descending times", timesteps=((1000.0, 0.0),))
    assert_rejected("lies outside this schedule", timesteps=(1001.0, 0.0))
    assert_rejected("lies outside this schedule", timesteps=(1000.0, -1.0))
    assert_rejected("lies outside this schedule", timesteps=(1000.0, math.nan, 0.0))
    assert_rejected("floating-point array, got int64", x=np.ones((1, 2), dtype=int))
    assert_rejected("floating-point array", x=np.ones(()))


@pytest.mark.parametrize(
    ("name", "option", "value", "wanted"),
    [
        ("ddim", "eta", "much", "a number"),
        ("ddim", "eta", True, "a number"),
        ("ddim", "eta", math.nan, "a number"),
        ("lms", "order", 2.0, "an integer"),
        ("lms", "order", True, "an integer"),
        ("lms", "start", 3, "a name"),
        ("ddpm", "variance", 0.1, "a name"),
        ("dpmpp-multistep", "legacy", 1, "true or false"),
    ],
)
def test_options_of_a_wrong_type_are_rejected(
    name: str, option: str, value: object, wanted: str
) -> None:
    assert_rejected(
        f"option '{option}' of sampler '{name}' must be {wanted}, got", name=name, **{option: value}
    )


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("ddim", {"eta": 1.1}, "eta must lie between 0"),
        ("ddim", {"eta": -0.1}, "eta must lie between 0"),
        ("ddpm", {"variance": "tiny"}, "unknown variance 'tiny'; known: small, large"),
        ("edm", {"s_churn": -1.0}, "s_churn must be finite and 0 or more"),
        ("edm", {"s_noise": math.inf}, "s_noise must be finite and 0 or more"),
        ("edm", {"s_min": 2.0, "s_max": 1.0}, "s_min must not exceed s_max"),
        ("lms", {"order": 0}, "order must be 1 to 6"),
        ("lms", {"order": 7}, "order must be 1 to 6"),
        ("lms", {"start": "slow"}, "unknown start 'slow': choose one of low, runge-kutta"),
        ("euler-ancestral", {"eta": 2.0}, "eta must lie between 0"),
        ("dpm2-ancestral", {"eta": -1.0}, "eta must lie between 0"),
        ("predictor-corrector", {"snr": 0.0}, "snr must lie strictly between 0 and 1"),
        ("predictor-corrector", {"corrections": -1}, "corrections must be 0 or more"),
        ("ode", {"method": "Euler"}, "unknown method 'Euler': choose one of RK23, RK45, DOP853"),
        ("ode", {"rtol": 0.0}, "rtol and atol must lie strictly between 0 and 1"),
    ],
)
def test_options_out_of_range_are_rejected(
    name: str, options: dict[str, object], words: str
) -> None:
    """Checked at the first step."""
    timesteps = np.array([1000.0, 500.0, 0.0])
    x = np.ones((1, 2))
    steps = sample(name, DATA.denoiser(LINEAR), LINEAR, x, timesteps, lambda i: x, **options)
    with pytest.raises(InputError, match=words):
        next(steps)


STOCHASTIC = (
    ("ddpm", {}), ("ddim", {"eta": 0.5}), ("edm", {"s_churn": 3.0}), ("euler-ancestral", {}),
    ("dpm2-ancestral", {}), ("predictor-corrector", {}), ("euler-maruyama", {}),
)  # fmt: skip


@pytest.mark.parametrize(("name", "options"), STOCHASTIC)
def test_stochastic_samplers_need_noise(name: str, options: dict[str, object]) -> None:
    timesteps, x = np.array([900.0, 500.0, 0.0]), np.ones((1, 2))
    with pytest.raises(InputError, match="needs noise"):
        next(sample(name, DATA.denoiser(LINEAR), LINEAR, x, timesteps, **options))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_step_that_is_not_finite_is_rejected(name: str) -> None:
    """Reported at once on the host, with the step and the times."""
    exact, x, took = DATA.denoiser(LINEAR), np.ones((1, 2)), 0

    def denoise(x: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
        x_0, eps = exact(x, t)
        return (x_0, eps) if t > 450.0 else (np.full_like(x_0, np.nan), np.full_like(eps, np.nan))

    timesteps = np.array([1000.0, 800.0, 600.0, 400.0, 200.0, 0.0])
    with pytest.raises(InputError, match=r"t = |from t = (600|400) to (400|200)") as found:  # noqa: PT012
        for step in sample(name, denoise, LINEAR, x, timesteps, lambda i: 0.0 * x):
            assert np.isfinite(step.x).all()
            took += 1
    assert took <= 3
    assert "not finite" in str(found.value)


def test_on_a_device_only_the_last_step_is_checked() -> None:
    """A check waits for the device."""

    def denoise(x, t):
        return x * (math.nan if t < 700.0 else 1.0), x

    timesteps, x = np.array([1000.0, 800.0, 600.0, 400.0, 0.0]), strict.xp.asarray(np.ones((1, 2)))
    steps = sample("ddim", denoise, LINEAR, x, timesteps)
    with strict.transfers() as moves:
        for _ in range(3):
            next(steps)
        assert not moves.to_host
        with pytest.raises(InputError, match=r"a step up to 4 of 4.*not finite"):
            next(steps)
        assert moves.to_host == [()]


@pytest.mark.parametrize("parameterization", ["eps", "score"])
@pytest.mark.parametrize("schedule", ["zero-snr", "rectified-flow"])
def test_eps_and_score_cannot_start_from_pure_noise(schedule: str, parameterization: str) -> None:
    schedule = SCHEDULES[schedule]()
    denoise = Denoiser(lambda x, timestep: 0.1 * x, schedule, PARAMETERIZATIONS[parameterization])
    timesteps = np.array([1.0, 0.5, 0.0]) * schedule.t_max
    with pytest.raises(
        InputError, match=f"'{parameterization}' cannot recover x_0 .* where alpha = 0"
    ):
        next(sample("ddim", denoise, schedule, np.ones((1, 2)), timesteps))
    assert len(list(sample("ddim", denoise, schedule, np.ones((1, 2)), 0.9 * timesteps))) == 2


@pytest.mark.parametrize("spacing", SPACINGS)
def test_one_step_works_and_more_steps_than_the_schedule_has_are_rejected(spacing: str) -> None:
    """N = 1 works with every spacing; N > T is rejected."""
    discrete, x = SCHEDULES["linear"](), np.ones((1, 2))
    (step,) = sample("ddim", DATA.denoiser(discrete), discrete, x, SPACINGS[spacing](discrete, 1))
    assert step.t == 0.0
    if spacing in ("trailing", "leading", "linspace"):
        with pytest.raises(InputError, match="do not fit a discrete schedule of 1000"):
            SPACINGS[spacing](discrete, 1001)
