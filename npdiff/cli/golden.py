"""``npdiff golden``: reference values for ports, and the comparison with a file of a port."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import npdiff
from npdiff.cli.common import command, output_path, pluralize, report_file
from npdiff.cli.tables import Column, table, terminal_width
from npdiff.errors import InputError
from npdiff.files import atomic
from npdiff.laboratory import golden
from npdiff.laboratory.golden import Comparison, Problem
from npdiff.laboratory.golden.problem import DIGITS

DETAILS = """\
examples:
  npdiff golden --out golden.json            completely specified problems and their results
  npdiff golden schedule/cosine              one problem, printed
  npdiff golden --list                       the names of all problems
  npdiff golden --check mine.json            compare a file that your program wrote
  npdiff golden --check mine.json --tolerance 1e-5     the same, for single precision

A file to check has the form of the written one, or any part of it. Only the values are read:

  {"problems": {"schedule/cosine": {"values": {"alpha_bar": [0.99995, ...]}}}}

The exit status is 1 if a value is wrong or unknown, or if no value is right; with --complete also
if a value is missing."""

COLUMNS = (
    Column("value", least=24),
    Column("verdict"),
    Column("deviation", right=True),
    Column("detail", least=20),
)


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(
        commands, "golden", "write reference values or compare a file with them", DETAILS
    )
    parser.add_argument(
        "problem", nargs="?", default="", metavar="PROBLEM",
        help="a part of the problems' names (default: all problems)",
    )  # fmt: skip
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--out", metavar="FILE.json", help="write a file (default: print)")
    what.add_argument("--list", action="store_true", help="list the problems")
    what.add_argument("--check", metavar="FILE", help="compare the values of a file")
    parser.add_argument(
        "--tolerance", type=positive, default=1e-9, metavar="X",
        help="relative tolerance of --check (default: 1e-9)",
    )  # fmt: skip
    parser.add_argument("--complete", action="store_true", help="fail if a value is missing")
    parser.set_defaults(run=run)


def positive(text: str) -> float:
    """Parse a positive float."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Write, list or compare."""
    path = output_path(arguments.out, ".json") if arguments.out else None
    theirs = read(arguments.check) if arguments.check else {}
    chosen = golden.problems(arguments.problem)
    if not chosen:
        raise InputError(
            f"no problem has {arguments.problem!r} in its name: `npdiff golden --list` lists all"
        )
    if arguments.check:
        return check(arguments, theirs, chosen)
    if arguments.list:
        rows = [[problem.name, ", ".join(problem.values)] for problem in chosen]
        columns = (Column("problem", least=20), Column("results", least=20))
        print(table(columns, rows, terminal_width()))
        return 0
    written = golden.to_json(golden.document(chosen, npdiff.__version__))
    if path is None:
        print(written, end="")
    else:
        with atomic(path) as file:
            file.write(written.encode())
        values = sum(len(problem.values) for problem in chosen)
        counts = f"{pluralize(len(chosen), 'problem')}, {pluralize(values, 'result')}"
        report_file(path, f"{counts}, {DIGITS} digits")
    return 0


def read(name: str) -> dict[str, Any]:
    """The problems of a file to check.

    Raises
    ------
    InputError
        If the file cannot be read or has another format.
    """
    try:
        content = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"cannot read {name}: {reason}") from error
    try:
        return golden.read(content)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def check(arguments: argparse.Namespace, theirs: dict[str, Any], chosen: Sequence[Problem]) -> int:
    """Compare a file and print the deviations."""
    compared = golden.compare(theirs, chosen, arguments.tolerance)
    if arguments.problem:  # the file's other problems are not unknown
        compared = [c for c in compared if c.status != "unknown" or arguments.problem in c.name]
    by = {status: [c for c in compared if c.status == status] for status in STATUSES}
    printed = [*by["wrong"], *by["unknown"], *(by["missing"] if arguments.complete else [])]
    if printed:
        print(
            table(COLUMNS, [table_row(comparison) for comparison in printed], terminal_width())
            + "\n"
        )
    if by["missing"] and not arguments.complete:
        names = sorted({comparison.name.partition(" ")[0] for comparison in by["missing"]})
        few = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        print(f"missing (--complete lists them all): {few}")
    worst = max((comparison.error for comparison in by["ok"]), default=None)
    counts = ", ".join(f"{len(by[status])} {status}" for status in STATUSES)
    best = "no value is right" if worst is None else f"largest deviation of ok values {worst:.1e}"
    print(f"{arguments.check}: {counts}; {best}")
    failed = by["wrong"] or by["unknown"] or (arguments.complete and by["missing"])
    return 1 if failed or not by["ok"] else 0


STATUSES = ("ok", "wrong", "missing", "unknown")


def table_row(comparison: Comparison) -> list[str]:
    """The row of a comparison in the table."""
    error = f"{comparison.error:.1e}" if comparison.status == "wrong" else ""
    return [comparison.name, comparison.status, error, comparison.detail]
