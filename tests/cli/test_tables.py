"""Tables that fit: which cells are shortened, from which end, and which columns are dropped."""

import io
import sys

import pytest

from npdiff.cli.tables import Column, table

COLUMNS = (
    Column("name", least=6),
    Column("home", least=6, drop=1, end=True),
    Column("number", right=True),
)
ROWS = [["posterior-mean", "process.py:posterior_mean", "1"], ["a", "b", "1000"]]


def test_a_table_without_a_limit_is_as_wide_as_its_cells() -> None:
    assert table(COLUMNS, ROWS, None).splitlines() == [
        "name            home                       number",
        "posterior-mean  process.py:posterior_mean       1",
        "a               b                            1000",
    ]


def test_the_widest_column_is_shortened_first() -> None:
    assert table(COLUMNS, ROWS, 40).splitlines() == [
        "name            home              number",
        "posterior-mean  …:posterior_mean       1",
        "a               b                   1000",
    ]


@pytest.mark.parametrize("width", range(22, 60))
def test_no_line_exceeds_the_width(width: int) -> None:
    assert max(map(len, table(COLUMNS, ROWS, width).splitlines())) <= width


def test_columns_without_room_are_dropped() -> None:
    lines = table(COLUMNS, ROWS, 20).splitlines()
    assert lines == ["name          number", "posterior-m…       1", "a               1000"]
    # Numbers are never shortened, however narrow it is.
    assert table(COLUMNS, ROWS, 4).splitlines()[2].endswith("1000")


def test_a_table_without_rows_is_its_heading() -> None:
    assert table(COLUMNS, [], 30) == "name  home  number"


def test_the_ellipsis_is_ascii_on_an_ascii_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert "~" in table(COLUMNS, ROWS, 20)
