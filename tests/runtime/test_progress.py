"""Progress bars: tqdm in terminals and notebooks, callbacks, silence, and without tqdm."""

import sys

import pytest

from npdiff.runtime.progress import progress_bar


def test_false_displays_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar(3, "step", "work", progress=False) as bar:
        bar.update(2)
        bar.set_postfix_str("text")
        bar.unpause()
    assert bar.n == 2
    assert capfd.readouterr() == ("", "")


def test_a_callback_gets_the_count_and_the_total() -> None:
    calls: list[tuple[int, int]] = []
    with progress_bar(
        5, "step", "work", initial=1, progress=lambda done, total: calls.append((done, total))
    ) as bar:
        bar.update()
        bar.update(0)
        bar.update(3)
    assert calls == [(2, 5), (5, 5)]


def test_true_is_a_tqdm_bar_that_updates_often_in_a_notebook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with progress_bar(3, "step", "work") as bar:
        assert type(bar).__module__.startswith("tqdm")
        assert bar.mininterval == 30.0  # a log file
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    with progress_bar(3, "step", "work") as bar:
        assert bar.mininterval == 0.2


def test_without_tqdm_nothing_is_displayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with progress_bar(3, "step", "work") as bar:
        bar.update()
    assert bar.n == 1
