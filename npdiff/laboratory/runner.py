"""All checks, one after the other or in several processes at once."""

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
from npdiff.laboratory.registry import Check, Outcome, checks, checks_of, prove

#: What a worker of :func:`outcomes` enters for good; held here, or it would be left when collected.
_without_kernels = definitions_only()

#: So many checks take longer than processes take to start.
_WORTH_PROCESSES = 12


@dataclass(frozen=True)
class Verdict:
    """An equation and what its checks found.

    Attributes
    ----------
    equation : Equation
    outcomes : one for each of its checks
    """

    equation: Equation
    outcomes: tuple[Outcome, ...]

    @property
    def proved(self) -> bool:
        """Whether there is a check and all of them passed."""
        label = self.equation.label
        return bool(self.outcomes) and all(outcome.passed(label) for outcome in self.outcomes)


def wanted(words: Sequence[str]) -> list[Equation]:
    """The equations that the words name: all for none, else labels, parts of labels, or homes.

    Raises
    ------
    InputError
        If a word names nothing; it says what is near.
    """
    known = equations()
    if not words:
        return list(known.values())
    found: dict[str, Equation] = {}
    for word in words:
        place = word.removeprefix("npdiff/")
        named = {word: known[word]} if word in known else {}
        named = named or {k: e for k, e in known.items() if word in k}
        named = named or {k: e for k, e in known.items() if place in e.home}
        named = named or {k: known[k] for k in _labels_of(place) if k in known}
        if not named:
            near = difflib.get_close_matches(word, [*known, *checks()], n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(near)}?" if near else "`npdiff verify` lists them all"
            raise InputError(f"no equation is called {word!r}: {hint}")
        found.update(named)
    return list(found.values())


def _labels_of(word: str) -> list[str]:
    """What the checks prove that have this name, or stand in this file."""
    return [
        label for c in checks().values() if word == c.name or word in c.home for label in c.labels
    ]


def needed(chosen: Sequence[Equation]) -> list[Check]:
    """The checks of some equations, each once."""
    return list({c.name: c for e in chosen for c in checks_of(e.label)}.values())


def verdicts(chosen: Sequence[Equation], outcomes: Sequence[Outcome]) -> list[Verdict]:
    """What the outcomes say of the equations."""
    return [
        Verdict(equation, tuple(o for o in outcomes if equation.label in o.check.labels))
        for equation in chosen
    ]


def outcomes(
    chosen: Sequence[Check],
    *,
    cases: int | None = None,
    seed: int = 0,
    on: str = "numpy",
    jobs: int = 1,
    definitions: bool = False,
) -> Iterator[Outcome]:
    """Run checks; each outcome as soon as it is there.

    Parameters
    ----------
    chosen : checks
    cases : how many of each, if not its own number
    seed : of all that they draw; no outcome depends on ``jobs``
    on : the backend's name
    jobs : processes
    definitions : whether kernels stay switched off in them, as they are in this one
    """
    soon_done = len(chosen) < (_WORTH_PROCESSES if cases is None else 2)
    if jobs == 1 or soon_done or on != "numpy":
        xp = backend.module(on)
        with _one_blas_thread():
            for check in chosen:
                yield prove(check, cases=cases, seed=seed, xp=xp)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(chosen)), context, _quiet_worker, (definitions,))
    try:
        running = [pool.submit(_prove_by_name, check.name, cases, seed) for check in chosen]
        for done in as_completed(running):
            name, residuals, seconds, error = done.result()
            yield Outcome(checks()[name], residuals, seconds, error)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _quiet_worker(definitions: bool) -> None:
    """An interruption ends a worker without a word; and one worker is one thread."""
    if definitions:
        _without_kernels.__enter__()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _one_blas_thread()


def _one_blas_thread() -> contextlib.AbstractContextManager[Any]:
    """BLAS on one thread from now on, and within the block if it is used as one.

    The last digit of a sum depends on how many threads share it, and no outcome may.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return contextlib.nullcontext()
    return threadpool_limits(1)


def _prove_by_name(name: str, cases: int | None, seed: int) -> tuple[str, Any, float, str]:
    """Functions do not travel between processes, names do."""
    found = prove(checks()[name], cases=cases, seed=seed)
    return name, dict(found.residuals), found.seconds, found.error


def number(value: float) -> float | str:
    """A number for JSON, which knows no infinity."""
    return value if math.isfinite(value) else str(value)


def facts(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain values, ready for JSON."""
    e = verdict.equation
    return {
        "label": e.label,
        "proved": verdict.proved,
        "about": e.about,
        "latex": e.latex,
        "home": {"file": f"npdiff/{e.file}", "name": e.name, "line": e.line},
        "sources": [str(source) for source in e.sources],
        "checks": [
            {
                "name": o.check.name,
                "home": f"npdiff/{o.check.home}",
                "about": o.check.about,
                "route": o.check.route,
                "cases": len(o.residuals.get(e.label, ())),
                "worst": number(o.worst(e.label)),
                "tolerance": o.check.tolerance,
                "passed": o.passed(e.label),
                "residuals": [number(r) for r in o.residuals.get(e.label, ())],
                "seconds": round(o.seconds, 4),
                "error": o.error,
            }
            for o in verdict.outcomes
        ],
    }
