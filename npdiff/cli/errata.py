"""``npdiff errata``: formulas that are misprinted or wrong in programs, and their tests."""

import argparse
import difflib
import json
import textwrap
from typing import Any

from npdiff.cli.common import command
from npdiff.cli.tables import terminal_width
from npdiff.errors import InputError
from npdiff.laboratory.equations import equations
from npdiff.laboratory.errata import REPORTED, Erratum, ErratumResult, all_errata, evaluate

DETAILS = """\
examples:
  npdiff errata                            all errata
  npdiff errata third-order-multistep      one erratum in full, with its LaTeX
  npdiff errata --json > errata.json       all of it, for a program

An erratum is a formula that is misprinted in a paper or wrong in programs in use, with the right
formula. Both go through the same test, which is independent of either: the wrong formula must fail
it and the right one pass. The same test measures how much the mistake matters, in this run.

Each occurrence is listed with the evidence for it. Programs change: a mistake may have been
corrected since. The exit status is 1 if an erratum does not hold."""

_WIDTH = 92


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(
        commands, "errata", "test formulas that are wrong in papers or programs", DETAILS
    )
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="one erratum in full: its name or a part of it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the tests of all errata, or of one, and print the results."""
    chosen = all_errata()
    if arguments.name is not None:
        chosen = {(name := full_name(arguments.name, list(chosen))): chosen[name]}
    results = [evaluate(erratum) for erratum in chosen.values()]
    if arguments.json:
        print(json.dumps([result.data() for result in results], indent=2))
    else:
        print(summary(results) if arguments.name is None else full_text(results[0]))
    return 0 if all(result.holds for result in results) else 1


def full_name(word: str, names: list[str]) -> str:
    """The name that is equal to ``word``, or the only one that contains it.

    Raises
    ------
    InputError
        If no name matches, or more than one; the message lists similar names.
    """
    found = [word] if word in names else [name for name in names if word in name]
    if len(found) == 1:
        return found[0]
    near = (found or difflib.get_close_matches(word, names, n=3, cutoff=0.5))[:5]
    hint = f"did you mean {', '.join(near)}? " if near else ""
    raise InputError(f"unknown erratum {word!r}: {hint}`npdiff errata` lists all {len(names)}")


def summary(results: list[ErratumResult]) -> str:
    """A table of errata by area: residuals, verdict, title and the first occurrence."""
    width = max(len(result.erratum.name) for result in results)
    lines = [f"{'':{width}}  {'wrong':>8} {'right':>8} {'limit':>8}"]
    area = ""
    for result in results:
        erratum, residuals = result.erratum, result.residuals
        if erratum.area != area:
            area = erratum.area
            lines += ["", area.upper()]
        values = (residuals.wrong, residuals.right, erratum.tolerance)
        columns = " ".join(f"{value:8.1e}" for value in values)
        lines += [
            f"{erratum.name:{width}}  {columns}  {result.verdict}",
            *_wrapped(f"{erratum.title}.", "    "),
            *_wrapped(f"In {erratum.occurrences[0].where}{evidence_remark(erratum)}.", "    "),
        ]
    held = sum(result.holds for result in results)
    lines += [
        "",
        f"{held} of {len(results)} confirmed: the wrong formula exceeds the limit, the right one "
        "is within it",
    ]
    return "\n".join(lines)


def evidence_remark(erratum: Erratum) -> str:
    """A remark on a first occurrence that was not examined here."""
    return " (as others report)" if erratum.occurrences[0].evidence == REPORTED else ""


def full_text(result: ErratumResult) -> str:
    """One erratum with all its fields."""
    erratum, residuals, stated = result.erratum, result.residuals, equations()
    occurrences = [
        line for occurrence in erratum.occurrences for line in _wrapped(f"- {occurrence}", "  ")
    ]
    here = [
        f"  {label}  {stated[label].location}" if label in stated else f"  {label}"
        for label in erratum.labels
    ]
    line = (
        f"  wrong formula {residuals.wrong:.2e}, right formula {residuals.right:.2e}, "
        f"limit {erratum.tolerance:.0e}: {result.verdict}"
    )
    parts: tuple[tuple[str, list[str]], ...] = (
        (f"{erratum.name}: {erratum.title}", []),
        ("", _wrapped(erratum.about, "")),
        ("Occurrences", occurrences),
        ("Wrong", [f"  {erratum.wrong}"]),
        ("Right", [f"  {erratum.right}"]),
        ("In npdiff", here),
        ("Test", [*_wrapped(erratum.method, "  "), line]),
        ("How much it matters", _wrapped(result.error or result.impact, "  ")),
    )
    return "\n\n".join("\n".join([*([title] if title else []), *lines]) for title, lines in parts)


def _wrapped(text: str, indent: str) -> list[str]:
    inner = indent + ("  " if text.startswith("- ") else "")
    width = min(_WIDTH, max(40, terminal_width()))
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=inner)
