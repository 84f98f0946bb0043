"""What every schedule has to satisfy, whatever its formula."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff.errors import InputError
from npdiff.schedules import SCHEDULES, Schedule

schedules = pytest.mark.parametrize("name", SCHEDULES)


def inner_times(schedule: Schedule, count: int = 60) -> np.ndarray:
    """Times strictly inside of steps, where a chain's derivatives are continuous."""
    if schedule.steps is None:
        return np.linspace(schedule.t_min, schedule.t_max - 1e-4, count)
    return np.floor(np.linspace(0, schedule.steps - 1, count)) + 0.37


@schedules
def test_derivatives_are_those_of_central_differences(name: str) -> None:
    schedule = SCHEDULES[name]()
    t, h = inner_times(schedule), 1e-5 * schedule.t_max**0.5
    for function, derivative in (
        (schedule.log_alpha, schedule.log_alpha_dot),
        (schedule.log_sigma, schedule.log_sigma_dot),
        (schedule.alpha, schedule.alpha_dot),
        (schedule.sigma, schedule.sigma_dot),
    ):
        difference = (function(t + h) - function(t - h)) / (2 * h)
        np.testing.assert_allclose(derivative(t), difference, rtol=2e-4, atol=1e-9)


@schedules
def test_drift_and_diffusion_integrate_to_the_marginals(name: str) -> None:
    """For dx = f x dt + g dw: (log mean)' = f and (variance / mean^2)' = g^2 / mean^2."""
    schedule = SCHEDULES[name]()
    edges = np.arange(1, 1001) * (schedule.t_max / 1000)  # the chain's own rows
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = 0.5 * np.diff(edges)[:, None]
    t = edges[:-1, None] + half * (1 + nodes)
    growth = (half * weights * schedule.drift(t)).sum()
    np.testing.assert_allclose(
        growth, schedule.log_alpha(edges[-1]) - schedule.log_alpha(edges[0]), rtol=1e-9
    )
    noise = (half * weights * schedule.diffusion(t) / schedule.alpha(t) ** 2).sum(axis=1)
    ratio = (schedule.sigma(edges) / schedule.alpha(edges)) ** 2
    np.testing.assert_allclose(noise, np.diff(ratio), rtol=1e-8)


@schedules
def test_variance_is_preserved(name: str) -> None:
    schedule = SCHEDULES[name]()
    t = np.linspace(0, schedule.t_max, 777)
    np.testing.assert_allclose(schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, 1, rtol=1e-14)


@schedules
def test_data_at_zero_and_finite_noise_at_the_end(name: str) -> None:
    schedule = SCHEDULES[name]()
    assert schedule.alpha(0) == 1
    assert schedule.sigma(0) == 0
    assert schedule.log_snr(0) == np.inf
    assert schedule.diffusion(schedule.t_min) > 0
    assert np.isfinite(schedule.log_snr(schedule.t_max))
    assert schedule.log_snr(schedule.t_max) < -9
    for derivative in (schedule.log_alpha_dot, schedule.log_sigma_dot, schedule.diffusion):
        assert np.isfinite(derivative(schedule.t_max))


@schedules
def test_log_snr_decreases(name: str) -> None:
    schedule = SCHEDULES[name]()
    assert (np.diff(schedule.log_snr(np.linspace(0, schedule.t_max, 5001)[1:])) < 0).all()


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
    with pytest.raises(InputError, match="log-SNR -50"):
        SCHEDULES[name]().time_at(np.array([0.0, -50.0]))
    with pytest.raises(InputError, match="nan"):
        SCHEDULES[name]().time_at(np.nan)


@schedules
@pytest.mark.parametrize("t", [-1e-9, 1000.001, np.nan, [0.5, -1.0]])
def test_times_outside_are_refused(name: str, t: float) -> None:
    schedule = SCHEDULES[name]()
    for method in ("log_alpha", "log_sigma", "log_alpha_dot", "log_sigma_dot", "alpha", "clock"):
        with pytest.raises(InputError, match="lies outside of this schedule"):
            getattr(schedule, method)(t)


@schedules
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_shapes_and_dtype(name: str, shape: tuple[int, ...]) -> None:
    schedule = SCHEDULES[name]()
    t = np.full(shape, schedule.t_max / 2, dtype=np.float32)
    for method in ("alpha", "sigma", "log_snr", "drift", "diffusion", "clock", "sigma_dot"):
        value = getattr(schedule, method)(t)
        assert np.shape(value) == shape
        assert value.dtype == np.float64


@schedules
def test_the_clock_runs_to_a_thousand(name: str) -> None:
    schedule = SCHEDULES[name]()
    np.testing.assert_allclose(schedule.clock([0, schedule.t_min, schedule.t_max]), [0, 1, 1000])
