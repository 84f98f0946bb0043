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
    """The interpreter's switch interval at a value of its own."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.004)
    yield sys.getswitchinterval()
    sys.setswitchinterval(before)


def test_the_first_changes_and_the_last_puts_back():
    events, setting = [], ProcessSetting()

    def change():
        events.append("changed")
        return lambda: events.append("back")

    setting.acquire(change)
    setting.acquire(change)
    setting.release()
    assert events == ["changed"]
    setting.release()
    assert events == ["changed", "back"]
    setting.acquire(change)
    setting.release()
    assert events == ["changed", "back"] * 2


def test_many_threads_hold_and_release_without_losing_count():
    state, setting, wrong = {"held": False}, ProcessSetting(), []

    def change():
        if state["held"]:
            wrong.append("changed twice")
        state["held"] = True

        def undo():
            state["held"] = False

        return undo

    def often():
        for _ in range(2000):
            setting.acquire(change)
            if not state["held"]:
                wrong.append("put back too early")
            setting.release()

    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert not state["held"]


def test_threads_switch_quickly_while_workers_are_open(interval):
    with ThreadPool(2) as outer:
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)
        with ThreadPool(3):
            assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)
        outer.close()
        outer.close()  # once is enough, twice does no harm
        assert sys.getswitchinterval() == interval
    assert sys.getswitchinterval() == interval
    with ThreadPool(1):
        assert sys.getswitchinterval() == interval


def test_workers_that_nobody_closes_let_go(interval):
    workers = ThreadPool(2)
    assert sys.getswitchinterval() != interval
    del workers
    assert sys.getswitchinterval() == interval


def test_an_interval_that_somebody_else_has_set_stays(interval):
    with ThreadPool(2):
        sys.setswitchinterval(0.002)
    assert sys.getswitchinterval() == pytest.approx(0.002)
    sys.setswitchinterval(1e-5)
    SWITCH_INTERVAL_SETTING.acquire(shorten_switch_interval)
    assert sys.getswitchinterval() == pytest.approx(1e-5)  # quicker than asked
    SWITCH_INTERVAL_SETTING.release()
    assert sys.getswitchinterval() == pytest.approx(1e-5)
