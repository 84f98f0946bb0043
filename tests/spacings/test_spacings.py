"""Timestep spacings on every schedule: ends, order, published examples, rejected arguments."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff.errors import InputError
from npdiff.schedules import EDM, SCHEDULES, DiscreteSchedule, linear_betas, zero_terminal_snr
from npdiff.spacings import SPACINGS, karras, leading, linspace, log_snr, quadratic, trailing

ALL = {name: make() for name, make in SCHEDULES.items()}
CONTINUOUS = ("vp", "cosine-continuous")
WHOLE = ("trailing", "leading", "linspace", "quadratic")


@given(st.integers(1, 300).flatmap(lambda T: st.tuples(st.just(T), st.integers(1, T))))
def test_times_descend_to_0_on_discrete_schedules(shape: tuple[int, int]) -> None:
    """Whole, distinct times down to 0, for any N up to T."""
    T, N = shape
    schedule = linear_betas(T)
    for name, spacing in SPACINGS.items():
        timesteps = spacing(schedule, N)
        assert timesteps.shape == (N + 1,)
        assert (np.diff(timesteps) < 0).all()
        assert timesteps[-1] == 0
        assert timesteps[0] == (1 + (N - 1) * (T // N) if name == "leading" else T)
        assert (timesteps == np.round(timesteps)).all() or name not in WHOLE
        if name != "trailing" and N > 1:
            assert timesteps[-2] == pytest.approx(1, rel=1e-9)


@given(
    spacing=st.sampled_from(sorted(SPACINGS)),
    name=st.sampled_from(sorted(ALL)),
    N=st.integers(1, 1000),
    dropped=st.booleans(),
)
def test_all_spacings_work_on_all_schedules(spacing: str, name: str, N: int, dropped: bool) -> None:
    """Strictly descending times from the documented start to 0, or a clear error."""
    schedule = ALL[name]
    options = {"dropped": True} if dropped and spacing in ("leading", "linspace") else {}
    rejected = spacing == "leading" and schedule.steps is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if rejected or (options and schedule.steps == N):
            with pytest.raises(InputError, match="continuous" if rejected else "dropped=True"):
                SPACINGS[spacing](schedule, N, **options)
            return
        timesteps = SPACINGS[spacing](schedule, N, **options)
    assert timesteps.shape == (N + 1,)
    assert timesteps.dtype == np.float64
    assert (np.diff(timesteps) < 0).all()
    assert timesteps[-1] == 0
    assert timesteps[0] == schedule.t_max or spacing == "leading"
    assert schedule.sigma(timesteps[-2]) > 0
    if spacing != "trailing" and N > 1 and not options:
        assert timesteps[-2] == pytest.approx(schedule.t_min, rel=1e-6)


def short_schedules() -> list[DiscreteSchedule]:
    return [
        DiscreteSchedule(np.array([0.3])),
        DiscreteSchedule(np.array([1.0])),
        zero_terminal_snr(linear_betas(2)),
        zero_terminal_snr(linear_betas(3, 0.1, 0.2)),
    ]


@pytest.mark.parametrize("schedule", short_schedules(), ids=["1", "1-to-noise", "2", "3"])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_times_on_the_shortest_discrete_schedules(schedule: DiscreteSchedule, spacing: str) -> None:
    for N in range(1, schedule.steps + 1):
        timesteps = SPACINGS[spacing](schedule, N)
        assert timesteps.shape == (N + 1,)
        assert (np.diff(timesteps) < 0).all()
        assert timesteps[-1] == 0
        below = 1 + (N - 1) * (schedule.steps // N)
        assert timesteps[0] == (below if spacing == "leading" else schedule.t_max)


@pytest.mark.parametrize("name", CONTINUOUS)
@pytest.mark.parametrize("spacing", ["trailing", "linspace", "log-snr"])
@pytest.mark.parametrize("steps", [1, 2, 7, 5000])
def test_times_descend_to_0_on_continuous_schedules(name: str, spacing: str, steps: int) -> None:
    timesteps = SPACINGS[spacing](ALL[name], steps)
    assert timesteps.shape == (steps + 1,)
    assert (timesteps[0], timesteps[-1]) == (1, 0)
    assert (np.diff(timesteps) < 0).all()


def test_times_equal_the_published_examples() -> None:
    """Ten steps; the paper counts times from 1 to T = 1000, as here."""
    schedule = linear_betas()
    assert trailing(schedule, 10).tolist() == [*range(1000, 0, -100), 0]
    assert leading(schedule, 10).tolist() == [*range(901, 0, -100), 0]
    assert linspace(schedule, 10).tolist() == [1000, 889, 778, 667, 556, 445, 334, 223, 112, 1, 0]
    found = karras(EDM(), 18)[[0, 1, 2, 3, 16, 17]]
    np.testing.assert_allclose(found[:4], [80, 57.585985, 40.785574, 28.374585], rtol=2e-8)
    np.testing.assert_allclose(found[4:], [0.00752802, 0.002], rtol=1e-6)


def test_dropped_leading_and_linspace() -> None:
    """As of most multistep solvers, which take N + 1 points and drop the last."""
    schedule = linear_betas()
    assert leading(schedule, 10, dropped=True).tolist() == [*range(901, 90, -90), 0]
    points = np.round(np.linspace(0, 999, 11)) + 1
    assert linspace(schedule, 10, dropped=True).tolist() == [*points[:0:-1], 0]
    assert linspace(ALL["vp"], 1, dropped=True).tolist() == [1, 0]
    np.testing.assert_allclose(linspace(ALL["vp"], 2, dropped=True), [1, 0.5005, 0], rtol=1e-12)
    assert leading(linear_betas(2), 1, dropped=True).tolist() == [2, 0]
    for spacing in (leading, linspace):
        with pytest.raises(InputError, match="10 sampling steps with dropped=True do not fit"):
            spacing(linear_betas(10), 10, dropped=True)


def test_quadratic_spaces_the_root_of_time_evenly() -> None:
    np.testing.assert_allclose(quadratic(EDM(), 3)[1], ((80**0.5 + 0.002**0.5) / 2) ** 2)
    assert quadratic(linear_betas(50), 50).tolist() == [*range(50, -1, -1)]
    steps = -np.diff(quadratic(ALL["vp"], 12))
    assert (np.diff(steps[:-1]) < 0).all()


@pytest.mark.parametrize("spacing", [log_snr, karras])
@pytest.mark.parametrize("rho", [0.0, -1.0, np.nan, np.inf])
def test_rho_out_of_range_is_rejected(spacing, rho: float) -> None:
    with pytest.raises(InputError, match="rho must be positive"):
        spacing(ALL["vp"], 5, rho=rho)


def test_karras_approaches_log_snr_for_large_rho() -> None:
    schedule = ALL["vp"]
    np.testing.assert_allclose(karras(schedule, 9, rho=1e6), log_snr(schedule, 9), rtol=1e-4)
    assert (log_snr(schedule, 9, rho=2)[1:-2] < log_snr(schedule, 9)[1:-2]).all()


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [2.5, "3", None, np.float64(4)])
def test_fractional_steps_are_rejected(spacing: str, steps: object) -> None:
    with pytest.raises(InputError, match="must be an integer"):
        SPACINGS[spacing](ALL["linear"], steps)
    assert SPACINGS[spacing](ALL["linear"], np.int64(4)).shape == (5,)


def test_all_steps_visit_every_whole_time() -> None:
    for name in ("trailing", "leading", "linspace"):
        assert SPACINGS[name](linear_betas(50), 50).tolist() == [*range(50, -1, -1)]


@pytest.mark.parametrize("name", ALL)
def test_log_snr_is_evenly_spaced(name: str) -> None:
    schedule = ALL[name]
    strides = np.diff(schedule.log_snr(log_snr(schedule, 20)[:-1]))
    first = 1 if schedule.alpha(schedule.t_max) == 0 else 0
    assert (strides[0] == np.inf) == bool(first)
    np.testing.assert_allclose(strides[first:], strides[-1], rtol=1e-6)
    assert strides[-1] > 0


def test_spacings_in_noise_level_start_at_pure_noise() -> None:
    """Other times are as if they started at t_max - t_min."""
    flow = ALL["rectified-flow"]
    for spacing in (log_snr, karras):
        assert spacing(flow, 1).tolist() == [1, 0]
        np.testing.assert_allclose(spacing(flow, 2), [1, 0.001, 0], rtol=1e-12)
    np.testing.assert_allclose(log_snr(flow, 3), [1, 0.5, 0.001, 0], rtol=1e-12)
    np.testing.assert_allclose(karras(flow, 3, rho=1e-9 + 1)[1], 0.998004, rtol=1e-5)


def test_trailing_and_linspace_are_evenly_spaced_in_continuous_time() -> None:
    np.testing.assert_allclose(trailing(ALL["vp"], 4), [1, 0.75, 0.5, 0.25, 0], rtol=1e-15)
    np.testing.assert_allclose(linspace(ALL["vp"], 3), [1, 0.5005, 0.001, 0], rtol=1e-15)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [0, -1])
def test_fewer_than_one_step_is_rejected(spacing: str, steps: int) -> None:
    for name in ("linear", "vp"):
        with pytest.raises(InputError, match="must be at least 1"):
            SPACINGS[spacing](ALL[name], steps)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_more_steps_than_the_schedule_has_are_rejected(spacing: str) -> None:
    with pytest.raises(InputError, match=r"11 sampling steps do not fit a discrete .* 10: use 10"):
        SPACINGS[spacing](linear_betas(10), 11)


def test_leading_needs_a_discrete_schedule() -> None:
    with pytest.raises(InputError, match="use 'trailing', 'linspace' or 'log-snr'"):
        leading(ALL["vp"], 10)
