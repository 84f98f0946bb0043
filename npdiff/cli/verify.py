"""``npdiff verify``: prove the equations, and print what was compared with what."""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import npdiff
from npdiff.cli.columns import Column, table, terminal_width
from npdiff.cli.common import (
    add_backend,
    add_definitions_only,
    add_seed,
    command,
    integer_at_least,
    pluralize,
)
from npdiff.errors import InputError
from npdiff.laboratory.registry import Outcome
from npdiff.laboratory.runner import Verdict, facts, needed, number, outcomes, verdicts, wanted
from npdiff.runtime.progress import progress_bar
from npdiff.runtime.shards import thread_count
from npdiff.verify.orders import CLAIMS, TOLERANCE, Claim, Convergence, measure

DETAILS = """\
examples:
  npdiff verify                     every equation: its home, its proof, its number
  npdiff verify posterior           those whose label has `posterior` in it, at length
  npdiff verify samplers/ddim.py    those that live in a file
  npdiff verify --orders            the order of every deterministic solver, measured
  npdiff verify --orders unipc      of one of them
  npdiff verify --cases 1000 --seed 1
  npdiff verify --json > proof.json

Each line is an equation and one of its checks: the paper, the function that implements it, the
check, the independent route by which it computes the same, how many cases were tried, the worst
residual, what is allowed. The exit status is 1 if anything fails or has no check."""

COLUMNS = (
    Column("equation", least=22),  # nearly all whole: they are what one asks for next
    Column("paper", least=12, drop=3),
    Column("home", least=14, drop=4, end=True),
    Column("check", least=12, drop=2, end=True),
    Column("independent route", least=17, drop=1),
    Column("cases", right=True),
    Column("residual", right=True),
    Column("allowed", right=True),
    Column("verdict"),
)
ORDER_COLUMNS = (
    Column("solver", least=44),  # shorter, they look alike
    Column("test bed"),
    Column("asks/step", right=True, drop=1),
    Column("steps", right=True, drop=2),
    Column("error", right=True, drop=3),
    Column("at twice", right=True, drop=3),
    Column("slope", right=True),
    Column("claimed", right=True),
    Column("verdict"),
)


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "verify", "prove every equation of the package", DETAILS)
    parser.add_argument(
        "equations", nargs="*", metavar="EQUATION",
        help="a label or part of one, a file, a check (default: all); with --orders a solver",
    )  # fmt: skip
    parser.add_argument(
        "--cases",
        type=integer_at_least(1),
        metavar="N",
        help="try N cases of every check (default: its own)",
    )
    add_seed(parser, "of all that the checks draw (default: 0)")
    add_backend(parser)
    parser.add_argument(
        "--jobs", type=integer_at_least(1), metavar="N",
        help="processes (default: one for each CPU, or NPDIFF_THREADS)",
    )  # fmt: skip
    add_definitions_only(parser)
    parser.add_argument("--orders", action="store_true", help="measure the order of the solvers")
    parser.add_argument("--wide", action="store_true", help="shorten nothing to fit the terminal")
    parser.add_argument("--json", action="store_true", help="print it as JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prove, print; 0 if all is proved."""
    if arguments.orders:
        return orders(arguments)
    chosen = wanted(arguments.equations)
    checks = needed(chosen)
    start = time.perf_counter()
    found = []
    with progress_bar(len(checks), "check", "proving") as progress:
        for outcome in outcomes(
            checks, cases=arguments.cases, seed=arguments.seed,
            on=arguments.backend, jobs=arguments.jobs or thread_count(),
            definitions=arguments.definitions_only,
        ):  # fmt: skip
            found.append(outcome)
            progress.update()
    order = {check.name: k for k, check in enumerate(checks)}
    found.sort(key=lambda outcome: order[outcome.check.name])
    judged = verdicts(chosen, found)
    seconds = time.perf_counter() - start
    proved = all(verdict.proved for verdict in judged)
    if arguments.json:
        whole_ = {
            "npdiff": npdiff.__version__, "backend": arguments.backend, "seed": arguments.seed,
            "proved": proved, "seconds": round(seconds, 2),
            "equations": [facts(verdict) for verdict in judged],
        }  # fmt: skip
        print(json.dumps(whole_, indent=2))
    else:
        width = None if arguments.wide else terminal_width()
        if arguments.equations:
            print("\n\n".join(at_length(verdict) for verdict in judged))
        else:
            print(table(COLUMNS, [row for verdict in judged for row in rows(verdict)], width))
        for outcome in found:
            if outcome.error:
                print(f"\n{outcome.check.home} broke down:\n{outcome.error.rstrip()}")
        print(f"\n{summary(judged, found, seconds)}")
    return 0 if proved else 1


def rows(verdict: Verdict) -> list[list[str]]:
    """The lines of an equation in the table, one for each check."""
    e = verdict.equation
    paper = e.sources[0].paper if e.sources else ""
    if not verdict.outcomes:
        return [[e.label, paper, e.home, "none", "", "", "", "", "NO CHECK"]]
    return [
        [
            e.label, paper, e.home, o.check.name, o.check.route,
            str(len(o.residuals.get(e.label, ()))), f"{o.worst(e.label):.1e}",
            bound(o.check.tolerance), "proved" if o.passed(e.label) else "FAILED",
        ]
        for o in verdict.outcomes
    ]  # fmt: skip


def at_length(verdict: Verdict) -> str:
    """All that is known of one equation."""
    e = verdict.equation
    lines = [e.label, f"  {e.about}", ""]
    lines += [f"      {line}" for line in e.latex.splitlines()]
    lines += ["", f"  home       npdiff/{e.file}, line {e.line}{f': {e.name}' if e.name else ''}"]
    lines += [f"  {'source' if k == 0 else '':9}  {source}" for k, source in enumerate(e.sources)]
    for outcome in verdict.outcomes:
        check, found = outcome.check, outcome.residuals.get(e.label, ())
        lines += [
            "",
            f"  check      npdiff/{check.home}",
            f"             {check.about}",
            f"  route      {check.route}",
            f"  cases      {len(found)} in {outcome.seconds:.2f} s",
        ]
        for k in range(0, len(found), 6):
            numbers = "  ".join(f"{r:.1e}" for r in found[k : k + 6])
            lines.append(f"  {'residuals' if k == 0 else '':9}  {numbers}")
        verb = "proved" if outcome.passed(e.label) else "FAILED"
        lines.append(
            f"  verdict    {verb}, worst {outcome.worst(e.label):.1e} of {bound(check.tolerance)}"
        )
    if not verdict.outcomes:
        lines += ["", "  check      none: NOT PROVED"]
    return "\n".join(lines)


def bound(tolerance: float) -> str:
    """What is allowed, not rounded away: 1e-09, 1.5e-01."""
    short = f"{tolerance:.0e}"
    return short if float(short) == tolerance else f"{tolerance:.1e}"


def summary(judged: Sequence[Verdict], found: Sequence[Outcome], seconds: float) -> str:
    """One line."""
    cases = sum(max(map(len, outcome.residuals.values()), default=0) for outcome in found)
    bad = [verdict.equation.label for verdict in judged if not verdict.proved]
    told = ", ".join(bad[:5]) + (", ..." if len(bad) > 5 else "")
    verb = f"{len(bad)} NOT PROVED: {told}" if bad else "all proved"
    pairs = ((len(judged), "equation"), (len(found), "check"), (cases, "case"))
    counts = ", ".join(pluralize(n, noun) for n, noun in pairs)
    return f"{counts} in {seconds:.1f} s: {verb}"


def claims(words: Sequence[str]) -> list[Claim]:
    """The claims about the solvers that the words name: all for none, else parts of names.

    Raises
    ------
    InputError
        If a word names no solver.
    """
    for word in words:
        if not any(word in claim.name for claim in CLAIMS):
            known = ", ".join(dict.fromkeys(claim.sampler for claim in CLAIMS))
            raise InputError(f"--orders {word}: the solvers that have an order are {known}")
    return [c for c in CLAIMS if not words or any(word in c.name for word in words)]


def orders(arguments: argparse.Namespace) -> int:
    """Measure and print the order of every solver, or of those that are named."""
    pairs = [(claim, bed) for claim in claims(arguments.equations) for bed in claim.beds]
    found: list[Convergence] = []
    with progress_bar(len(pairs), "solver", "measuring") as progress:
        for claim, bed in pairs:
            found.append(measure(claim, bed))
            progress.update()
    good = [abs(f.slope - f.claim.order) <= TOLERANCE for f in found]
    if arguments.json:
        facts_ = [
            {
                "solver": f.claim.sampler, "options": dict(f.claim.options), "bed": f.bed,
                "steps": list(f.steps), "errors": [number(e) for e in f.errors],
                "asked": list(f.asked), "slope": number(f.slope), "claimed": f.claim.order,
                "passed": ok,
            }
            for f, ok in zip(found, good, strict=True)
        ]  # fmt: skip
        print(json.dumps(facts_, indent=2))
    else:
        lines = [
            [
                f.claim.name, f.bed, str(f.claim.evaluations), str(f.steps[-2]),
                f"{f.errors[-2]:.1e}", f"{f.errors[-1]:.1e}", f"{f.slope:.2f}",
                f"{f.claim.order:g}", "passed" if ok else "FAILED",
            ]
            for f, ok in zip(found, good, strict=True)
        ]  # fmt: skip
        width = None if arguments.wide else terminal_width()
        solver = replace(ORDER_COLUMNS[0], least=max(20, min(44, (width or 100) - 36)))
        print(table((solver, *ORDER_COLUMNS[1:]), lines, width))
        print(f"\n{len(found)} orders, allowed {TOLERANCE:g}: {sum(good)} as claimed")
    return 0 if all(good) else 1
