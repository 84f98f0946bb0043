"""``npdiff verify``: run the check of every equation and print what was compared with what."""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import npdiff
from npdiff.cli.common import (
    add_backend,
    add_definitions_only,
    add_seed,
    command,
    integer_at_least,
    pluralize,
)
from npdiff.cli.tables import Column, table, terminal_width
from npdiff.errors import InputError
from npdiff.laboratory.orders import CLAIMS, Claim, Convergence, measure
from npdiff.laboratory.registry import CheckResult
from npdiff.laboratory.runner import (
    EquationResult,
    as_json,
    checks_for,
    group_by_equation,
    json_number,
    run_checks,
    select_equations,
)
from npdiff.runtime.progress import progress_bar
from npdiff.runtime.threads import thread_count
from npdiff.verify.convergence import TOLERANCE

DETAILS = """\
examples:
  npdiff verify                     every equation: its location, its check, its residual
  npdiff verify posterior           the equations with `posterior` in their label, in detail
  npdiff verify samplers/_ddim.py   the equations of one file
  npdiff verify --orders            the measured order of every deterministic solver
  npdiff verify --orders unipc      the same for one solver
  npdiff verify --cases 1000 --seed 1
  npdiff verify --json > verification.json

Each line is an equation and one of its checks: the paper, the function that implements it, the
check, the independent method that computes the same quantity, the number of cases, the worst
residual and the tolerance. The exit status is 1 if a check fails or an equation has none."""

COLUMNS = (
    Column("equation", least=22),  # long enough for nearly all labels
    Column("paper", least=12, drop=3),
    Column("location", least=14, drop=4, end=True),
    Column("check", least=12, drop=2, end=True),
    Column("method", least=17, drop=1),
    Column("cases", right=True),
    Column("residual", right=True),
    Column("tolerance", right=True),
    Column("result"),
)
ORDER_COLUMNS = (
    Column("solver", least=44),  # shorter names would look alike
    Column("problem"),
    Column("NFE/step", right=True, drop=1),
    Column("steps", right=True, drop=2),
    Column("error", right=True, drop=3),
    Column("at 2x", right=True, drop=3),
    Column("slope", right=True),
    Column("claimed", right=True),
    Column("result"),
)


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "verify", "verify every equation of the package", DETAILS)
    parser.add_argument(
        "equations", nargs="*", metavar="EQUATION",
        help="a label or part of one, a file or a check (default: all); with --orders a solver",
    )  # fmt: skip
    parser.add_argument(
        "--cases",
        type=integer_at_least(1),
        metavar="N",
        help="cases per check (default: as each check defines)",
    )
    add_seed(parser, "seed of the checks' random numbers (default: 0)")
    add_backend(parser)
    parser.add_argument(
        "--jobs", type=integer_at_least(1), metavar="N",
        help="number of processes (default: one per CPU, or NPDIFF_THREADS)",
    )  # fmt: skip
    add_definitions_only(parser)
    parser.add_argument(
        "--orders", action="store_true", help="measure the order of convergence of the solvers"
    )
    parser.add_argument(
        "--wide", action="store_true", help="do not shorten lines to fit the terminal"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the checks and print the results; 0 if every equation is verified."""
    if arguments.orders:
        return orders(arguments)
    chosen = select_equations(arguments.equations)
    checks = checks_for(chosen)
    start = time.perf_counter()
    found = []
    with progress_bar(len(checks), "check", "verifying") as progress:
        for result in run_checks(
            checks, cases=arguments.cases, seed=arguments.seed,
            on=arguments.backend, jobs=arguments.jobs or thread_count(),
            definitions=arguments.definitions_only,
        ):  # fmt: skip
            found.append(result)
            progress.update()
    order = {check.name: k for k, check in enumerate(checks)}
    found.sort(key=lambda result: order[result.check.name])
    grouped = group_by_equation(chosen, found)
    seconds = time.perf_counter() - start
    verified = all(result.verified for result in grouped)
    if arguments.json:
        document = {
            "npdiff": npdiff.__version__, "backend": arguments.backend, "seed": arguments.seed,
            "verified": verified, "seconds": round(seconds, 2),
            "equations": [as_json(result) for result in grouped],
        }  # fmt: skip
        print(json.dumps(document, indent=2))
    else:
        width = None if arguments.wide else terminal_width()
        if arguments.equations:
            print("\n\n".join(full_text(result) for result in grouped))
        else:
            print(table(COLUMNS, [row for result in grouped for row in rows(result)], width))
        for check_result in found:
            if check_result.error:
                error = check_result.error.rstrip()
                print(f"\n{check_result.check.location} raised an exception:\n{error}")
        print(f"\n{summary(grouped, found, seconds)}")
    return 0 if verified else 1


def rows(result: EquationResult) -> list[list[str]]:
    """The lines of an equation in the table, one per check."""
    e = result.equation
    paper = e.sources[0].paper if e.sources else ""
    if not result.results:
        return [[e.label, paper, e.location, "none", "", "", "", "", "NO CHECK"]]
    return [
        [
            e.label, paper, e.location, o.check.name, o.check.method,
            str(len(o.residuals.get(e.label, ()))), f"{o.worst(e.label):.1e}",
            bound(o.check.tolerance), "verified" if o.passed(e.label) else "FAILED",
        ]
        for o in result.results
    ]  # fmt: skip


def full_text(result: EquationResult) -> str:
    """One equation in full: text, location, sources, checks and residuals."""
    e = result.equation
    lines = [e.label, f"  {e.about}", ""]
    lines += [f"      {line}" for line in e.latex.splitlines()]
    lines += ["", f"  location   npdiff/{e.file}, line {e.line}{f': {e.name}' if e.name else ''}"]
    lines += [f"  {'source' if k == 0 else '':9}  {source}" for k, source in enumerate(e.sources)]
    for check_result in result.results:
        check, found = check_result.check, check_result.residuals.get(e.label, ())
        lines += [
            "",
            f"  check      npdiff/{check.location}",
            f"             {check.about}",
            f"  method     {check.method}",
            f"  cases      {len(found)} in {check_result.seconds:.2f} s",
        ]
        for k in range(0, len(found), 6):
            numbers = "  ".join(f"{r:.1e}" for r in found[k : k + 6])
            lines.append(f"  {'residuals' if k == 0 else '':9}  {numbers}")
        verb = "verified" if check_result.passed(e.label) else "FAILED"
        worst = check_result.worst(e.label)
        lines.append(f"  result     {verb}, worst {worst:.1e} of {bound(check.tolerance)}")
    if not result.results:
        lines += ["", "  check      none: NOT VERIFIED"]
    return "\n".join(lines)


def bound(tolerance: float) -> str:
    """A tolerance with as many digits as it has: 1e-09, 1.5e-01."""
    short = f"{tolerance:.0e}"
    return short if float(short) == tolerance else f"{tolerance:.1e}"


def summary(grouped: Sequence[EquationResult], found: Sequence[CheckResult], seconds: float) -> str:
    """Counts, time and the labels that are not verified, in one line."""
    cases = sum(max(map(len, result.residuals.values()), default=0) for result in found)
    bad = [result.equation.label for result in grouped if not result.verified]
    names = ", ".join(bad[:5]) + (", ..." if len(bad) > 5 else "")
    verb = f"{len(bad)} NOT VERIFIED: {names}" if bad else "all verified"
    pairs = ((len(grouped), "equation"), (len(found), "check"), (cases, "case"))
    counts = ", ".join(pluralize(n, noun) for n, noun in pairs)
    return f"{counts} in {seconds:.1f} s: {verb}"


def claims(words: Sequence[str]) -> list[Claim]:
    """The claims whose name contains any of the words; all claims if there are no words.

    Raises
    ------
    InputError
        If a word is in no name.
    """
    for word in words:
        if not any(word in claim.name for claim in CLAIMS):
            known = ", ".join(dict.fromkeys(claim.sampler for claim in CLAIMS))
            raise InputError(f"--orders {word}: no such solver; those with an order are {known}")
    return [c for c in CLAIMS if not words or any(word in c.name for word in words)]


def orders(arguments: argparse.Namespace) -> int:
    """Measure and print the order of every solver, or of the named ones."""
    pairs = [(claim, name) for claim in claims(arguments.equations) for name in claim.problems]
    found: list[Convergence] = []
    with progress_bar(len(pairs), "solver", "measuring") as progress:
        for claim, problem in pairs:
            found.append(measure(claim, problem))
            progress.update()
    good = [abs(f.slope - f.claim.order) <= TOLERANCE for f in found]
    if arguments.json:
        document = [
            {
                "solver": f.claim.sampler, "options": dict(f.claim.options), "problem": f.problem,
                "steps": list(f.steps), "errors": [json_number(e) for e in f.errors],
                "evaluations": list(f.evaluations), "slope": json_number(f.slope),
                "claimed": f.claim.order, "passed": ok,
            }
            for f, ok in zip(found, good, strict=True)
        ]  # fmt: skip
        print(json.dumps(document, indent=2))
    else:
        lines = [
            [
                f.claim.name, f.problem, str(f.claim.evaluations), str(f.steps[-2]),
                f"{f.errors[-2]:.1e}", f"{f.errors[-1]:.1e}", f"{f.slope:.2f}",
                f"{f.claim.order:g}", "passed" if ok else "FAILED",
            ]
            for f, ok in zip(found, good, strict=True)
        ]  # fmt: skip
        width = None if arguments.wide else terminal_width()
        solver = replace(ORDER_COLUMNS[0], least=max(20, min(44, (width or 100) - 36)))
        print(table((solver, *ORDER_COLUMNS[1:]), lines, width))
        print(f"\n{len(found)} orders, tolerance {TOLERANCE:g}: {sum(good)} as claimed")
    return 0 if all(good) else 1
