"""What every schedule has to satisfy, whatever its formula."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff.errors import InputError
from npdiff.schedules import SCHEDULES

schedules = pytest.mark.parametrize("name", SCHEDULES)
#: Those that end without any signal.
TO_NOISE = ("zero-snr", "rectified-flow", "shifted-flow")
#: Those whose clock is time, from 0 to 1000, with the first noise at 1.
BY_TIME = (
    *("linear", "cosine", "scaled-linear", "zero-snr", "sigmoid", "sigmoid-betas", "exponential"),
    *("vp", "sub-vp", "cosine-continuous", "rectified-flow"),
)
METHODS = (
    *("log_alpha", "log_sigma", "log_alpha_dot", "log_sigma_dot", "alpha", "sigma", "alpha_dot"),
    *("log_snr", "drift", "timestep"),
)


@schedules
def test_data_at_zero(name: str) -> None:
    schedule = SCHEDULES[name]()
    assert (schedule.alpha(0), schedule.sigma(0)) == (1, 0)
    assert (schedule.log_alpha(0), schedule.log_sigma(0)) == (0, -np.inf)
    assert schedule.log_snr(0) == np.inf
    assert schedule.log_sigma_dot(0) == np.inf
    assert schedule.timestep(0) == 0


@schedules
def test_from_the_first_noise_on_everything_is_finite(name: str) -> None:
    """But for the logarithms and rates where no signal is left."""
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
def test_the_limits_where_no_signal_is_left(name: str) -> None:
    schedule = SCHEDULES[name]()
    end = schedule.t_max
    assert (schedule.alpha(end), schedule.sigma(end)) == (0, 1)
    for method in ("log_alpha", "log_alpha_dot", "drift", "log_snr"):
        assert getattr(schedule, method)(end) == -np.inf
    assert schedule.diffusion(end) == np.inf
    assert schedule.time_at(-np.inf) == end
    # and they are limits: what is finite is continuous, what is not grows without end
    for part in (1e-3, 1e-6, 1e-9):
        t = end - part * schedule.t_min
        for method in ("alpha", "sigma", "alpha_dot", "sigma_dot", "log_sigma", "log_sigma_dot"):
            found, limit = getattr(schedule, method)(t), getattr(schedule, method)(end)
            np.testing.assert_allclose(found, limit, rtol=4 * part, atol=4 * part)
        assert schedule.log_snr(t) < 2 * np.log(2 * part)
        assert schedule.drift(t) * part * schedule.t_min == pytest.approx(-1, rel=1e-3)


def test_a_finite_end_is_close_to_noise_where_it_is_said_to_be() -> None:
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
def test_time_at_takes_arrays_and_both_ends(name: str) -> None:
    schedule = SCHEDULES[name]()
    t = np.array([[0, schedule.t_min], [schedule.t_max / 3, schedule.t_max]])
    np.testing.assert_allclose(schedule.time_at(schedule.log_snr(t)), t, rtol=1e-9)


@schedules
def test_time_at_refuses_noise_that_is_never_reached(name: str) -> None:
    if name not in TO_NOISE:
        with pytest.raises(InputError, match="log-SNR -50"):
            SCHEDULES[name]().time_at(np.array([0.0, -50.0]))
    with pytest.raises(InputError, match="nan"):
        SCHEDULES[name]().time_at(np.nan)


@schedules
@pytest.mark.parametrize("t", [-1e-9, 1000.001, np.nan, [0.5, -1.0]])
def test_times_outside_are_refused(name: str, t: float) -> None:
    schedule = SCHEDULES[name]()
    for method in ("log_alpha", "log_sigma", "log_alpha_dot", "log_sigma_dot", "alpha", "timestep"):
        with pytest.raises(InputError, match="lies outside of this schedule"):
            getattr(schedule, method)(t)


@schedules
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_shapes_and_dtype(name: str, shape: tuple[int, ...]) -> None:
    schedule = SCHEDULES[name]()
    t = np.full(shape, schedule.t_max / 2, dtype=np.float32)
    for method in ("alpha", "sigma", "log_snr", "drift", "diffusion", "timestep", "sigma_dot"):
        value = getattr(schedule, method)(t)
        assert np.shape(value) == shape
        assert value.dtype == np.float64


@schedules
def test_a_value_is_nobody_elses_array(name: str) -> None:
    schedule = SCHEDULES[name]()
    t = np.linspace(0, schedule.t_max, 5)
    for method in METHODS:
        assert not np.may_share_memory(getattr(schedule, method)(t), t), method


@schedules
def test_the_clock_runs_to_a_thousand(name: str) -> None:
    schedule = SCHEDULES[name]()
    timestep = schedule.timestep(np.append(0, np.linspace(schedule.t_min, schedule.t_max, 500)))
    assert (np.diff(timestep) > 0).all()
    assert timestep[0] == 0
    assert timestep[-1] == pytest.approx(1000)
    assert (timestep[1] == pytest.approx(1)) == (name in BY_TIME)
