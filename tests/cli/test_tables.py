"""Tables that fit: what is shortened, from which end, and what is left out first."""

import io
import sys

import pytest

from npdiff.cli.tables import Column, table

COLUMNS = (
    Column("name", least=6),
    Column("home", least=6, drop=1, end=True),
    Column("number", right=True),
)
PARAMETERIZATIONS = [["posterior-mean", "process.py:posterior_mean", "1"], ["a", "b", "1000"]]


def test_wide() -> None:
    assert table(COLUMNS, PARAMETERIZATIONS, None).splitlines() == [
        "name            home                       number",
        "posterior-mean  process.py:posterior_mean       1",
        "a               b                            1000",
    ]


def test_the_widest_gives_first() -> None:
    assert table(COLUMNS, PARAMETERIZATIONS, 40).splitlines() == [
        "name            home              number",
        "posterior-mean  …:posterior_mean       1",
        "a               b                   1000",
    ]


@pytest.mark.parametrize("width", range(22, 60))
def test_no_line_is_too_wide(width: int) -> None:
    assert max(map(len, table(COLUMNS, PARAMETERIZATIONS, width).splitlines())) <= width


def test_what_has_no_room_is_left_out() -> None:
    lines = table(COLUMNS, PARAMETERIZATIONS, 20).splitlines()
    assert lines == ["name          number", "posterior-m…       1", "a               1000"]
    # Numbers are never shortened, however narrow it is.
    assert table(COLUMNS, PARAMETERIZATIONS, 4).splitlines()[2].endswith("1000")


def test_no_rows() -> None:
    assert table(COLUMNS, [], 30) == "name  home  number"


def test_a_terminal_without_the_character(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert "~" in table(COLUMNS, PARAMETERIZATIONS, 20)
