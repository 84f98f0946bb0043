"""``npdiff errata``: formulas that are misprinted or wrong in use, and the tests that say so."""

import argparse
import difflib
import json
import textwrap
from typing import Any

from npdiff.cli.columns import terminal_width
from npdiff.cli.common import command
from npdiff.errors import InputError
from npdiff.laboratory.equations import equations
from npdiff.laboratory.errata import REPORTED, Entry, Erratum, judge, ledger

DETAILS = """\
examples:
  npdiff errata                            the whole ledger
  npdiff errata third-order-multistep      one of them at length, with its LaTeX
  npdiff errata --json > errata.json       everything, for a program

Each erratum is a formula that is misprinted in a paper or wrong in programs in use, beside the
right one. Both go through one test that knows neither: the wrong form has to fail it, the right one
to pass. How much the mistake matters is measured by the same test, now and not from memory.

Where a wrong form stands is said with how that is known. Programs change: what was so when it was
looked at may have been mended since. The exit status is 1 if an erratum does not hold."""

_WIDTH = 92


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "errata", "list formulas that are wrong, and how wrong", DETAILS)
    parser.add_argument(
        "name", nargs="?", metavar="ID", help="one erratum, at length: its name or a part of it"
    )
    parser.add_argument("--json", action="store_true", help="print plain data")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the tests of the ledger, or of one entry, and print what they found."""
    chosen = ledger()
    if arguments.name is not None:
        chosen = {(name := named(arguments.name, list(chosen))): chosen[name]}
    entries = [judge(subject) for subject in chosen.values()]
    if arguments.json:
        print(json.dumps([entry.data() for entry in entries], indent=2))
    else:
        print(table(entries) if arguments.name is None else at_length(entries[0]))
    return 0 if all(entry.holds for entry in entries) else 1


def named(word: str, names: list[str]) -> str:
    """The name that a word means: itself, or the only one that it is part of.

    Raises
    ------
    InputError
        If there is none, or more than one; it says which are near.
    """
    found = [word] if word in names else [name for name in names if word in name]
    if len(found) == 1:
        return found[0]
    near = (found or difflib.get_close_matches(word, names, n=3, cutoff=0.5))[:5]
    hint = f"did you mean {', '.join(near)}? " if near else ""
    raise InputError(f"unknown erratum {word!r}: {hint}`npdiff errata` lists all {len(names)}")


def table(entries: list[Entry]) -> str:
    """The ledger under the names of its areas: of an erratum the numbers, what it is, and where."""
    width = max(len(entry.erratum.name) for entry in entries)
    lines = [f"{'':{width}}  {'wrong':>8} {'right':>8} {'limit':>8}"]
    area = ""
    for entry in entries:
        subject, finding = entry.erratum, entry.finding
        if subject.area != area:
            area = subject.area
            lines += ["", area.upper()]
        numbers = (finding.wrong, finding.right, subject.tolerance)
        columns = " ".join(f"{number:8.1e}" for number in numbers)
        lines += [
            f"{subject.name:{width}}  {columns}  {entry.verdict}",
            *_wrapped(f"{subject.title}.", "    "),
            *_wrapped(f"In {subject.places[0].where}{doubt(subject)}.", "    "),
        ]
    held = sum(entry.holds for entry in entries)
    lines += ["", f"{held} of {len(entries)} told apart: wrong form beyond the limit, right within"]
    return "\n".join(lines)


def doubt(subject: Erratum) -> str:
    """What to add to the first place of an erratum that nobody here has seen."""
    return " (as others report)" if subject.places[0].known == REPORTED else ""


def at_length(entry: Entry) -> str:
    """All that is known of one erratum."""
    subject, finding, homes = entry.erratum, entry.finding, equations()
    where = [line for place in subject.places for line in _wrapped(f"- {place}", "  ")]
    here = [
        f"  {label}  {homes[label].location}" if label in homes else f"  {label}"
        for label in subject.labels
    ]
    result = (
        f"  wrong form {finding.wrong:.2e}, right form {finding.right:.2e}, "
        f"limit {subject.tolerance:.0e}: {entry.verdict}"
    )
    parts: tuple[tuple[str, list[str]], ...] = (
        (f"{subject.name}: {subject.title}", []),
        ("", _wrapped(subject.about, "")),
        ("Where", where),
        ("Wrong", [f"  {subject.wrong}"]),
        ("Right", [f"  {subject.right}"]),
        ("Here", here),
        ("Told apart by", [*_wrapped(subject.route, "  "), result]),
        ("How much it matters", _wrapped(entry.error or entry.matters, "  ")),
    )
    return "\n\n".join("\n".join([*([title] if title else []), *lines]) for title, lines in parts)


def _wrapped(text: str, indent: str) -> list[str]:
    inner = indent + ("  " if text.startswith("- ") else "")
    width = min(_WIDTH, max(40, terminal_width()))
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=inner)
