"""Grids of times: their ends, their order, their published examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff.errors import InputError
from npdiff.grids import GRIDS, leading, linspace, log_snr, trailing
from npdiff.schedules import SCHEDULES, linear_table

ALL = {name: make() for name, make in SCHEDULES.items()}
CONTINUOUS = ("vp", "cosine-continuous")


@given(st.integers(1, 300).flatmap(lambda T: st.tuples(st.just(T), st.integers(1, T))))
def test_on_a_chain(shape: tuple[int, int]) -> None:
    """N steps, never the same time twice, whole times, down to 0, for any N up to T."""
    T, N = shape
    schedule = linear_table(T)
    for name, grid in GRIDS.items():
        times = grid(schedule, N)
        assert times.shape == (N + 1,)
        assert (np.diff(times) < 0).all()
        assert times[-1] == 0
        assert times[0] == (1 + (N - 1) * (T // N) if name == "leading" else T)
        if name != "log-snr":
            assert (times == np.round(times)).all()
        if name in ("leading", "linspace", "log-snr") and N > 1:
            assert times[-2] == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("name", CONTINUOUS)
@pytest.mark.parametrize("grid", ["trailing", "linspace", "log-snr"])
@pytest.mark.parametrize("steps", [1, 2, 7, 5000])
def test_in_continuous_time(name: str, grid: str, steps: int) -> None:
    times = GRIDS[grid](ALL[name], steps)
    assert times.shape == (steps + 1,)
    assert (times[0], times[-1]) == (1, 0)
    assert (np.diff(times) < 0).all()


def test_published_examples() -> None:
    """The paper counts its times from 1 to T = 1000 as here; ten steps."""
    table = linear_table()
    assert trailing(table, 10).tolist() == [*range(1000, 0, -100), 0]
    assert leading(table, 10).tolist() == [*range(901, 0, -100), 0]
    assert linspace(table, 10).tolist() == [1000, 889, 778, 667, 556, 445, 334, 223, 112, 1, 0]


def test_all_steps_are_the_chain() -> None:
    for name in ("trailing", "leading", "linspace"):
        assert GRIDS[name](linear_table(50), 50).tolist() == [*range(50, -1, -1)]


@pytest.mark.parametrize("name", ALL)
def test_log_snr_is_evenly_spaced(name: str) -> None:
    schedule = ALL[name]
    strides = np.diff(schedule.log_snr(log_snr(schedule, 20)[:-1]))
    np.testing.assert_allclose(strides, strides[0], rtol=1e-6)
    assert strides[0] > 0


def test_trailing_in_continuous_time_is_even() -> None:
    np.testing.assert_allclose(trailing(ALL["vp"], 4), [1, 0.75, 0.5, 0.25, 0], rtol=1e-15)
    np.testing.assert_allclose(linspace(ALL["vp"], 3), [1, 0.5005, 0.001, 0], rtol=1e-15)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("steps", [0, -1])
def test_no_step_is_refused(grid: str, steps: int) -> None:
    for name in ("linear", "vp"):
        with pytest.raises(InputError, match="at least one step"):
            GRIDS[grid](ALL[name], steps)


@pytest.mark.parametrize("grid", GRIDS)
def test_more_steps_than_the_chain_has_are_refused(grid: str) -> None:
    with pytest.raises(InputError, match="11 steps do not fit a chain of 10: ask for 10 or fewer"):
        GRIDS[grid](linear_table(10), 11)


def test_leading_needs_a_chain() -> None:
    with pytest.raises(InputError, match="use 'trailing', 'linspace' or 'log-snr'"):
        leading(ALL["vp"], 10)
