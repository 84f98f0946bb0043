"""Process settings: the first user changes a setting, and the last one restores it."""

import sys
import threading

import pytest

from npdiff.runtime.process_settings import (
    SWITCH_INTERVAL,
    SWITCH_INTERVAL_SETTING,
    ProcessSetting,
    shorten_switch_interval,
)
from npdiff.runtime.threads import ThreadPool


@pytest.fixture
def interval():
    """The interpreter's switch interval at a known value."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.004)
    yield sys.getswitchinterval()
    sys.setswitchinterval(before)


def test_the_first_user_changes_a_setting_and_the_last_restores_it():
    events, setting = [], ProcessSetting()

    def change():
        events.append("changed")
        return lambda: events.append("restored")

    setting.acquire(change)
    setting.acquire(change)
    setting.release()
    assert events == ["changed"]
    setting.release()
    assert events == ["changed", "restored"]
    setting.acquire(change)
    setting.release()
    assert events == ["changed", "restored"] * 2


def test_users_in_many_threads_are_counted_correctly():
    state, setting, wrong = {"changed": False}, ProcessSetting(), []

    def change():
        if state["changed"]:
            wrong.append("changed twice")
        state["changed"] = True

        def undo():
            state["changed"] = False

        return undo

    def often():
        for _ in range(2000):
            setting.acquire(change)
            if not state["changed"]:
                wrong.append("restored too early")
            setting.release()

    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert not state["changed"]


def test_the_switch_interval_is_short_while_a_pool_is_open(interval):
    with ThreadPool(2) as outer:
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)
        with ThreadPool(3):
            assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)
        outer.close()
        outer.close()  # closing twice is allowed
        assert sys.getswitchinterval() == interval
    assert sys.getswitchinterval() == interval
    with ThreadPool(1):
        assert sys.getswitchinterval() == interval


def test_a_pool_that_is_not_closed_restores_the_interval_when_deleted(interval):
    workers = ThreadPool(2)
    assert sys.getswitchinterval() != interval
    del workers
    assert sys.getswitchinterval() == interval


def test_an_interval_that_other_code_has_set_stays(interval):
    with ThreadPool(2):
        sys.setswitchinterval(0.002)
    assert sys.getswitchinterval() == pytest.approx(0.002)
    sys.setswitchinterval(1e-5)
    SWITCH_INTERVAL_SETTING.acquire(shorten_switch_interval)
    assert sys.getswitchinterval() == pytest.approx(1e-5)  # shorter than SWITCH_INTERVAL
    SWITCH_INTERVAL_SETTING.release()
    assert sys.getswitchinterval() == pytest.approx(1e-5)
