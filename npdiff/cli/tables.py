"""Tables that fit a terminal: wide cells are shortened, and columns without room are dropped."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

_BETWEEN = 2


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    title : its heading
    least : its minimum width; 0 if its cells are never shortened
    drop : the order in which columns are dropped for lack of room: 1 first, 2 next; 0 never
    end : whether shortened cells keep their end rather than their beginning
    right : whether its cells are right-aligned
    """

    title: str
    least: int = 0
    drop: int = 0
    end: bool = False
    right: bool = False


def terminal_width() -> int:
    """The width of the terminal, or COLUMNS; 100 if neither is set."""
    return shutil.get_terminal_size((100, 24)).columns


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> str:
    """A table as text.

    Parameters
    ----------
    columns : from left to right
    rows : rows of cells, one cell for each column
    width : the maximum length of a line; None for no limit
    """
    visible = list(range(len(columns)))
    widths = [
        max(len(column.title), *(len(row[k]) for row in rows)) if rows else len(column.title)
        for k, column in enumerate(columns)
    ]
    if width is not None:
        for k in sorted(
            (k for k, c in enumerate(columns) if c.drop), key=lambda k: columns[k].drop
        ):
            least = sum(_least(columns[j], widths[j]) for j in visible) + _BETWEEN * (
                len(visible) - 1
            )
            if least > width:
                visible.remove(k)
        _squeeze(columns, widths, visible, width)
    lines = [[column.title for column in columns], *rows]
    more = _ellipsis()
    return "\n".join(
        (" " * _BETWEEN).join(_cell(line[k], widths[k], columns[k], more) for k in visible).rstrip()
        for line in lines
    )


def _ellipsis() -> str:
    """The character for omitted text; the terminal must be able to print it."""
    try:
        "…".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "~"
    return "…"


def _least(column: Column, width: int) -> int:
    return min(width, max(column.least, len(column.title))) if column.least else width


def _squeeze(columns: Sequence[Column], widths: list[int], visible: list[int], width: int) -> None:
    """Reduce the widest shrinkable column until the table fits."""
    while sum(widths[k] for k in visible) + _BETWEEN * (len(visible) - 1) > width:
        shrinkable = [k for k in visible if widths[k] > _least(columns[k], widths[k])]
        if not shrinkable:
            return
        widths[max(shrinkable, key=lambda k: widths[k])] -= 1


def _cell(text: str, width: int, column: Column, more: str) -> str:
    if len(text) > width:
        text = more + text[1 - width :] if column.end else text[: width - 1] + more
    return text.rjust(width) if column.right else text.ljust(width)
