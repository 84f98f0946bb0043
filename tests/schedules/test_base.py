"""Properties of every schedule, and scalars against arrays."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff.errors import InputError
from npdiff.schedules import SCHEDULES, Cosine, Schedule

schedules = pytest.mark.parametrize("name", SCHEDULES)
#: Schedules that end without signal.
TO_NOISE = ("zero-snr", "rectified-flow", "shifted-flow")
#: Schedules whose timestep is proportional to time, with t_min at 1.
BY_TIME = (
    *("linear", "cosine", "scaled-linear", "zero-snr", "sigmoid", "sigmoid-betas", "exponential"),
    *("vp", "sub-vp", "cosine-continuous", "rectified-flow"),
)
METHODS = (
    *("log_alpha", "log_sigma", "log_alpha_dot", "log_sigma_dot", "alpha", "sigma", "alpha_dot"),
    *("log_snr", "drift", "timestep"),
)


@schedules
def test_time_zero_is_the_data(name: str) -> None:
    schedule = SCHEDULES[name]()
    assert (schedule.alpha(0), schedule.sigma(0)) == (1, 0)
    assert (schedule.log_alpha(0), schedule.log_sigma(0)) == (0, -np.inf)
    assert schedule.log_snr(0) == np.inf
    assert schedule.log_sigma_dot(0) == np.inf
    assert schedule.timestep(0) == 0


@schedules
def test_values_are_finite_from_t_min_on(name: str) -> None:
    """Except logarithms and derivatives where alpha = 0."""
    schedule = SCHEDULES[name]()
    t = np.array([schedule.t_min, schedule.t_max / 3, schedule.t_max])
    for method in (*METHODS, "sigma_dot", "diffusion"):
        value = getattr(schedule, method)(t)
        assert np.isfinite(value[:2]).all(), method
        if name not in TO_NOISE:
            assert np.isfinite(value).all(), method
    assert 0 < schedule.t_min < schedule.t_max
    assert schedule.sigma(schedule.t_min) < 0.11
    assert schedule.diffusion(schedule.t_min) > 0
    assert schedule.log_snr(schedule.t_max) <= -5


@pytest.mark.parametrize("name", TO_NOISE)
def test_limits_where_no_signal_is_left(name: str) -> None:
    schedule = SCHEDULES[name]()
    end = schedule.t_max
    assert (schedule.alpha(end), schedule.sigma(end)) == (0, 1)
    for method in ("log_alpha", "log_alpha_dot", "drift", "log_snr"):
        assert getattr(schedule, method)(end) == -np.inf
    assert schedule.diffusion(end) == np.inf
    assert schedule.time_at(-np.inf) == end
    # finite values are continuous there, infinite ones grow without bound
    for part in (1e-3, 1e-6, 1e-9):
        t = end - part * schedule.t_min
        for method in ("alpha", "sigma", "alpha_dot", "sigma_dot", "log_sigma", "log_sigma_dot"):
            found, limit = getattr(schedule, method)(t), getattr(schedule, method)(end)
            np.testing.assert_allclose(found, limit, rtol=4 * part, atol=4 * part)
        assert schedule.log_snr(t) < 2 * np.log(2 * part)
        assert schedule.drift(t) * part * schedule.t_min == pytest.approx(-1, rel=1e-3)


def test_log_snr_at_the_end_is_below_minus_ten() -> None:
    for name in ("linear", "cosine", "sigmoid", "sigmoid-betas", "exponential", "vp", "sub-vp"):
        schedule = SCHEDULES[name]()
        assert schedule.log_snr(schedule.t_max) < -10


@schedules
def test_log_snr_decreases(name: str) -> None:
    schedule = SCHEDULES[name]()
    t = np.linspace(0, schedule.t_max, 5001)
    np.testing.assert_array_less(schedule.log_snr(t)[1:], schedule.log_snr(t)[:-1])


@given(part=st.floats(1e-12, 1), name=st.sampled_from(sorted(SCHEDULES)))
def test_time_at_inverts_log_snr(part: float, name: str) -> None:
    schedule = SCHEDULES[name]()
    t = part * schedule.t_max
    np.testing.assert_allclose(schedule.time_at(schedule.log_snr(t)), t, rtol=1e-9)


@schedules
def test_time_at_inverts_arrays_and_both_ends(name: str) -> None:
    schedule = SCHEDULES[name]()
    t = np.array([[0, schedule.t_min], [schedule.t_max / 3, schedule.t_max]])
    np.testing.assert_allclose(schedule.time_at(schedule.log_snr(t)), t, rtol=1e-9)


@schedules
def test_time_at_rejects_log_snr_outside_the_schedule(name: str) -> None:
    if name not in TO_NOISE:
        with pytest.raises(InputError, match="log-SNR -50"):
            SCHEDULES[name]().time_at(np.array([0.0, -50.0]))
    with pytest.raises(InputError, match="nan"):
        SCHEDULES[name]().time_at(np.nan)


@schedules
@pytest.mark.parametrize("t", [-1e-9, 1000.001, np.nan, [0.5, -1.0]])
def test_times_outside_the_schedule_are_rejected(name: str, t: float) -> None:
    schedule = SCHEDULES[name]()
    for method in ("log_alpha", "log_sigma", "log_alpha_dot", "log_sigma_dot", "alpha", "timestep"):
        with pytest.raises(InputError, match="lies outside this schedule"):
            getattr(schedule, method)(t)


@schedules
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_results_are_float64_of_the_shape_of_the_times(name: str, shape: tuple[int, ...]) -> None:
    schedule = SCHEDULES[name]()
    t = np.full(shape, schedule.t_max / 2, dtype=np.float32)
    for method in ("alpha", "sigma", "log_snr", "drift", "diffusion", "timestep", "sigma_dot"):
        value = getattr(schedule, method)(t)
        assert np.shape(value) == shape
        assert type(value) is float if shape == () else value.dtype == np.float64


@schedules
def test_results_share_no_memory_with_the_times(name: str) -> None:
    schedule = SCHEDULES[name]()
    t = np.linspace(0, schedule.t_max, 5)
    for method in METHODS:
        assert not np.may_share_memory(getattr(schedule, method)(t), t), method


@schedules
def test_timestep_runs_from_0_to_1000(name: str) -> None:
    schedule = SCHEDULES[name]()
    timestep = schedule.timestep(np.append(0, np.linspace(schedule.t_min, schedule.t_max, 500)))
    assert (np.diff(timestep) > 0).all()
    assert timestep[0] == 0
    assert timestep[-1] == pytest.approx(1000)
    assert (timestep[1] == pytest.approx(1)) == (name in BY_TIME)


@schedules
def test_scalars_equal_array_elements_to_the_last_bit(name: str) -> None:
    """For Python numbers, NumPy scalars, 0-d arrays; also at whole times, which are precomputed."""
    schedule = SCHEDULES[name]()
    part = np.array([0.0, 1e-3, 0.25, 1 / 3, 0.7, 1.0])
    t = np.append(part, np.floor(1000 * part) / 1000) * schedule.t_max
    for method in (*METHODS, "time", "sigma_dot", "diffusion"):
        evaluate = getattr(schedule, method)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = evaluate(t)
            for convert in (float, np.float64, np.array):
                scalars = [evaluate(convert(u)) for u in t]
                assert {type(value) for value in scalars} == {float}, method
                np.testing.assert_array_equal(scalars, values, err_msg=method)


def test_a_subclass_with_formulas_for_arrays_gives_floats_for_scalars() -> None:
    """Also where its formula divides by 0."""

    class Straight(Schedule):
        t_min, t_max = 0.01, 1.0

        def log_alpha(self, t):
            with np.errstate(divide="ignore"):
                return np.log(self.alpha(t))

        def log_sigma(self, t):
            with np.errstate(divide="ignore"):
                return np.log(self.time(t))

        def log_alpha_dot(self, t):
            return -1.0 / self.alpha(t)

        def log_sigma_dot(self, t):
            return 1.0 / self.time(t)

        def alpha(self, t):
            return 1.0 - self.time(t)

        def timestep(self, t):
            return 1000.0 * self.time(t)

    schedule = Straight()
    with np.errstate(divide="ignore"):
        ends = schedule.drift(1.0), schedule.log_sigma_dot(0)
    assert ends == (-np.inf, np.inf)
    assert type(schedule.alpha(np.float32(0.25))) is type(schedule.time_at(0)) is float
    assert schedule.time_at(0) == pytest.approx(0.5)
    x = np.ones(2, dtype=np.float32)
    assert (schedule.alpha(np.array(0.25)) * x).dtype == np.float32
    np.testing.assert_array_equal(schedule.alpha([0.25, 1.0]), [0.75, 0.0])


def test_repr_gives_the_name_the_options_and_the_ends() -> None:
    assert repr(Cosine()) == (
        "Cosine(s=0.008, end=0.9946): t in [0, 1], log-SNR 10.1 at t_min = 0.001 to -9.555 at t_max"
    )
    assert repr(SCHEDULES["learned"]()).startswith("Learned(curve=straight): t in [0, 1], log-SNR")
    assert repr(SCHEDULES["cosine"]()) == (
        "DiscreteSchedule: T = 1000, beta_1 = 4.128e-05, beta_T = 0.999, alpha_bar_T = 2.429e-09"
    )
    for make in SCHEDULES.values():
        assert "\n" not in repr(make())


@schedules
def test_a_pickled_schedule_is_the_same_schedule(name: str) -> None:
    schedule = SCHEDULES[name]()
    value = schedule.alpha(schedule.t_max / 2)
    assert pickle.loads(pickle.dumps(schedule)).alpha(schedule.t_max / 2) == value


@pytest.mark.parametrize("name", [n for n in BY_TIME if n in SCHEDULES and SCHEDULES[n]().steps])
def test_discrete_schedules_take_the_number_of_steps(name: str) -> None:
    assert SCHEDULES[name](steps=4000).steps == 4000
