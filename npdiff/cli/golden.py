"""``npdiff golden``: reference values for anyone who ports, and the check of a file of theirs."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import npdiff
from npdiff.cli.columns import Column, table, terminal_width
from npdiff.cli.common import command, counted, output, said
from npdiff.errors import InputError
from npdiff.files import atomic
from npdiff.laboratory import golden
from npdiff.laboratory.golden import Entry, Problem
from npdiff.laboratory.golden.problem import DIGITS

DETAILS = """\
examples:
  npdiff golden --out golden.json            problems, stated to the last digit, and their answers
  npdiff golden schedule/cosine              one of them, on the terminal
  npdiff golden --list
  npdiff golden --check mine.json            a file that your program wrote
  npdiff golden --check mine.json --tolerance 1e-5     if it computes in single precision

A file to check looks like the one that is written, of which only this much is read, and any part
of it will do:

  {"problems": {"schedule/cosine": {"values": {"alpha_bar": [0.99995, ...]}}}}

The exit status is 1 if a value is wrong or unknown, or none is right; with --complete also if one
is missing."""

COLUMNS = (
    Column("value", least=24),
    Column("verdict"),
    Column("deviation", right=True),
    Column("where", least=20),
)


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "golden", "write reference values, or check a file of them", DETAILS)
    parser.add_argument(
        "problem", nargs="?", default="", metavar="PROBLEM",
        help="part of the names of the problems (default: all)",
    )  # fmt: skip
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--out", metavar="FILE.json", help="write there (default: the terminal)")
    what.add_argument("--list", action="store_true", help="only list the problems")
    what.add_argument("--check", metavar="FILE", help="compare the values of a file")
    parser.add_argument(
        "--tolerance", type=positive, default=1e-9, metavar="X",
        help="relative, of --check (default: 1e-9)",
    )  # fmt: skip
    parser.add_argument("--complete", action="store_true", help="what is missing is wrong too")
    parser.set_defaults(run=run)


def positive(text: str) -> float:
    """A type of option: a positive number."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Write, list or check."""
    path = output(arguments.out, ".json") if arguments.out else None
    theirs = read(arguments.check) if arguments.check else {}
    chosen = golden.problems(arguments.problem)
    if not chosen:
        raise InputError(
            f"no problem has {arguments.problem!r} in its name: `npdiff golden --list` has them all"
        )
    if arguments.check:
        return check(arguments, theirs, chosen)
    if arguments.list:
        rows = [[problem.name, ", ".join(problem.values)] for problem in chosen]
        columns = (Column("problem", least=20), Column("answers", least=20))
        print(table(columns, rows, terminal_width()))
        return 0
    written = golden.text(golden.document(chosen, npdiff.__version__))
    if path is None:
        print(written, end="")
    else:
        with atomic(path) as file:
            file.write(written.encode())
        values = sum(len(problem.values) for problem in chosen)
        counts = f"{counted(len(chosen), 'problem')}, {counted(values, 'answer')}"
        said(path, f"{counts}, {DIGITS} digits")
    return 0


def read(name: str) -> dict[str, Any]:
    """The problems of a file to check.

    Raises
    ------
    InputError
        If there is none, or it is another kind of file.
    """
    try:
        content = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(f"cannot read {name}: {reason}") from error
    try:
        return golden.read(content)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def check(arguments: argparse.Namespace, theirs: dict[str, Any], chosen: Sequence[Problem]) -> int:
    """Compare a file, print what is not as it should be."""
    entries = golden.compare(theirs, chosen, arguments.tolerance)
    if arguments.problem:  # what was not asked about is not unknown
        entries = [e for e in entries if e.status != "unknown" or arguments.problem in e.name]
    by = {status: [e for e in entries if e.status == status] for status in STATUSES}
    shown = [*by["wrong"], *by["unknown"], *(by["missing"] if arguments.complete else [])]
    if shown:
        print(table(COLUMNS, [row(entry) for entry in shown], terminal_width()) + "\n")
    if by["missing"] and not arguments.complete:
        names = sorted({entry.name.partition(" ")[0] for entry in by["missing"]})
        few = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        print(f"missing (--complete lists them all): {few}")
    worst = max((entry.error for entry in by["ok"]), default=None)
    counts = ", ".join(f"{len(by[status])} {status}" for status in STATUSES)
    least = "no value is right" if worst is None else f"worst of those that are ok {worst:.1e}"
    print(f"{arguments.check}: {counts}; {least}")
    failed = by["wrong"] or by["unknown"] or (arguments.complete and by["missing"])
    return 1 if failed or not by["ok"] else 0


STATUSES = ("ok", "wrong", "missing", "unknown")


def row(entry: Entry) -> list[str]:
    """An entry's line in the table."""
    error = f"{entry.error:.1e}" if entry.status == "wrong" else ""
    return [entry.name, entry.status, error, entry.detail]
