"""Run checks, one after the other or in several processes."""

import contextlib
import difflib
import math
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from npdiff import backend
from npdiff.acceleration import definitions_only
from npdiff.errors import InputError
from npdiff.laboratory.equations import Equation, equations
from npdiff.laboratory.registry import Check, CheckResult, checks, checks_of, run_check

#: Entered by the workers of :func:`run_checks`; a module variable, so that it is never collected.
_without_kernels = definitions_only()

#: From this many checks on, starting processes pays.
_WORTH_PROCESSES = 12


@dataclass(frozen=True)
class EquationResult:
    """An equation and the results of its checks.

    Attributes
    ----------
    equation : Equation
    results : one per check of the equation
    """

    equation: Equation
    results: tuple[CheckResult, ...]

    @property
    def verified(self) -> bool:
        """Whether the equation has a check and all its checks passed."""
        label = self.equation.label
        return bool(self.results) and all(result.passed(label) for result in self.results)


def select_equations(words: Sequence[str]) -> list[Equation]:
    """The equations matching any word: a label or part of one, a location, a check; all if empty.

    Raises
    ------
    InputError
        If a word matches nothing; the message suggests similar labels and checks.
    """
    known = equations()
    if not words:
        return list(known.values())
    found: dict[str, Equation] = {}
    for word in words:
        place = word.removeprefix("npdiff/")
        named = {word: known[word]} if word in known else {}
        named = named or {k: e for k, e in known.items() if word in k}
        named = named or {k: e for k, e in known.items() if place in e.location}
        named = named or {k: known[k] for k in _labels_of(place) if k in known}
        if not named:
            near = difflib.get_close_matches(word, [*known, *checks()], n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(near)}?" if near else "`npdiff verify` lists them all"
            raise InputError(f"no equation, file or check matches {word!r}: {hint}")
        found.update(named)
    return list(found.values())


def _labels_of(word: str) -> list[str]:
    """Labels of the checks with this name or in this file."""
    return [
        label
        for c in checks().values()
        if word == c.name or word in c.location
        for label in c.labels
    ]


def checks_for(chosen: Sequence[Equation]) -> list[Check]:
    """The checks of some equations, without duplicates."""
    return list({c.name: c for e in chosen for c in checks_of(e.label)}.values())


def group_by_equation(
    chosen: Sequence[Equation], results: Sequence[CheckResult]
) -> list[EquationResult]:
    """Each equation with the results of its checks."""
    return [
        EquationResult(equation, tuple(r for r in results if equation.label in r.check.labels))
        for equation in chosen
    ]


def run_checks(
    chosen: Sequence[Check],
    *,
    cases: int | None = None,
    seed: int = 0,
    on: str = "numpy",
    jobs: int = 1,
    definitions: bool = False,
) -> Iterator[CheckResult]:
    """Run checks; yield each result as soon as it is ready.

    Parameters
    ----------
    chosen : checks to run
    cases : number of cases of each (default: its own number)
    seed : seed of the cases' random numbers; results do not depend on ``jobs``
    on : name of the backend
    jobs : number of processes
    definitions : whether the worker processes run without kernels too
    """
    few = len(chosen) < (_WORTH_PROCESSES if cases is None else 2)
    if jobs == 1 or few or on != "numpy":
        xp = backend.module(on)
        with _one_blas_thread():
            for check in chosen:
                yield run_check(check, cases=cases, seed=seed, xp=xp)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(chosen)), context, _quiet_worker, (definitions,))
    try:
        running = [pool.submit(_run_by_name, check.name, cases, seed) for check in chosen]
        for done in as_completed(running):
            name, residuals, seconds, error = done.result()
            yield CheckResult(checks()[name], residuals, seconds, error)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _quiet_worker(definitions: bool) -> None:
    """Set up a worker process: end silently on an interrupt, use one thread."""
    if definitions:
        _without_kernels.__enter__()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _one_blas_thread()


def _one_blas_thread() -> contextlib.AbstractContextManager[Any]:
    """Limit BLAS to one thread from now on, or for a ``with`` block.

    The last digit of a sum depends on the number of threads; results must not.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return contextlib.nullcontext()
    return threadpool_limits(1)


def _run_by_name(name: str, cases: int | None, seed: int) -> tuple[str, Any, float, str]:
    """Run a check given by name: names can be pickled, decorated functions cannot."""
    found = run_check(checks()[name], cases=cases, seed=seed)
    return name, dict(found.residuals), found.seconds, found.error


def json_number(value: float) -> float | str:
    """A float for JSON; infinity and NaN, which JSON lacks, as strings."""
    return value if math.isfinite(value) else str(value)


def as_json(result: EquationResult) -> dict[str, Any]:
    """An equation's result as plain values for JSON."""
    e = result.equation
    return {
        "label": e.label,
        "verified": result.verified,
        "about": e.about,
        "latex": e.latex,
        "location": {"file": f"npdiff/{e.file}", "name": e.name, "line": e.line},
        "sources": [str(source) for source in e.sources],
        "checks": [
            {
                "name": r.check.name,
                "location": f"npdiff/{r.check.location}",
                "about": r.check.about,
                "method": r.check.method,
                "cases": len(r.residuals.get(e.label, ())),
                "worst": json_number(r.worst(e.label)),
                "tolerance": r.check.tolerance,
                "passed": r.passed(e.label),
                "residuals": [json_number(x) for x in r.residuals.get(e.label, ())],
                "seconds": round(r.seconds, 4),
                "error": r.error,
            }
            for r in result.results
        ],
    }
