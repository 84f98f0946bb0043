"""What an erratum is: a wrong form, the right form, and a test that tells them apart.

The wrong form and the right one go through the same test, which knows neither: a conservation law,
a composition of steps, a quadrature, a definition written out in loops. An erratum holds as long as
the wrong form fails there and the right one passes. How much the mistake matters is computed by the
same function and never typed in.
"""

import math
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

#: How it is known where a wrong form stands.
READ = "read in its source"
SAID = "said or quoted in a public thread"
MEASURED = "measured on its output"
REPORTED = "reported by others; the page itself was not seen"


class Place(NamedTuple):
    """Where a wrong form stands, or stood when it was looked at.

    Attributes
    ----------
    where : a paper and its section, or a project and its file or thread
    known : how that is known: one of the four sentences above
    """

    where: str
    known: str

    def __str__(self) -> str:
        return f"{self.where} ({self.known})"


class Finding(NamedTuple):
    """What the test of an erratum found.

    Attributes
    ----------
    wrong, right : how far either form is off in the same test
    figures : numbers by name, which the sentence on how much it matters cites
    """

    wrong: float
    right: float
    figures: Mapping[str, float] = {}


@dataclass(frozen=True)
class Erratum:
    """A formula that is misprinted in a paper, or wrong in programs that are used.

    Attributes
    ----------
    name : its id
    title : in a few words
    area : the part of the package that has the right form
    places : where the wrong form stands
    wrong, right : the two forms, LaTeX
    labels : of the equations here
    route : the test that tells them apart
    tolerance : of that test
    matters : how much it does, with the figures of the finding in braces
    measure : the test
    """

    name: str
    title: str
    area: str
    places: tuple[Place, ...]
    wrong: str
    right: str
    labels: tuple[str, ...]
    route: str
    tolerance: float
    matters: str
    measure: Callable[[], Finding]

    @property
    def about(self) -> str:
        """What is wrong, and why: the docstring of the test."""
        return " ".join((self.measure.__doc__ or "").split())


@dataclass(frozen=True)
class Entry:
    """An erratum and what its test found today.

    Attributes
    ----------
    erratum : Erratum
    finding : Finding
    seconds : how long the test took
    error : the traceback, where it broke down
    """

    erratum: Erratum
    finding: Finding
    seconds: float
    error: str = ""

    @property
    def holds(self) -> bool:
        """Whether the wrong form fails the test and the right one passes."""
        tolerance = self.erratum.tolerance
        return not self.error and bool(self.finding.wrong > tolerance >= self.finding.right)

    @property
    def verdict(self) -> str:
        """In words."""
        tolerance = self.erratum.tolerance
        if self.error:
            return "broke down"
        if not self.finding.right <= tolerance:
            return "right form fails"
        return "told apart" if self.finding.wrong > tolerance else "wrong form passes"

    @property
    def matters(self) -> str:
        """How much the mistake matters, with today's figures."""
        if self.error:
            return ""
        return self.erratum.matters.format(**self.finding.figures)

    def data(self) -> dict[str, Any]:
        """The entry as plain data, for JSON and for the documentation."""
        erratum = self.erratum
        inference_network = {
            name: getattr(erratum, name)
            for name in ("name", "title", "area", "wrong", "right", "route", "tolerance", "about")
        }
        return {
            **inference_network,
            "labels": list(erratum.labels),
            "places": [{"where": place.where, "known": place.known} for place in erratum.places],
            "matters": self.matters,
            "figures": {name: float(value) for name, value in self.finding.figures.items()},
            "wrong_residual": _number(self.finding.wrong),
            "right_residual": _number(self.finding.right),
            "holds": self.holds,
            "verdict": self.verdict,
            "error": self.error,
        }


def _number(value: float) -> float | None:
    """A number for JSON, which knows none that is not finite."""
    return float(value) if math.isfinite(value) else None


@dataclass
class _Ledger:
    by_name: dict[str, Erratum] = field(default_factory=dict)


REGISTERED = _Ledger()


def erratum(
    name: str,
    *,
    title: str,
    places: tuple[Place, ...],
    wrong: str,
    right: str,
    labels: tuple[str, ...],
    route: str,
    tolerance: float,
    matters: str,
) -> Callable[[Callable[[], Finding]], Callable[[], Finding]]:
    """Enter a test into the ledger.

    Parameters
    ----------
    name, title, places, wrong, right, labels, route, tolerance, matters : as of :class:`Erratum`

    Raises
    ------
    ValueError
        If the name is taken.
    """

    def enter(measure: Callable[[], Finding]) -> Callable[[], Finding]:
        if name in REGISTERED.by_name:
            raise ValueError(f"erratum {name!r}: its name is taken")
        area = measure.__module__.rpartition(".")[2]
        REGISTERED.by_name[name] = Erratum(
            name, title, area, places, wrong, right, labels, route, tolerance, matters, measure
        )
        return measure

    return enter


def judge(subject: Erratum) -> Entry:
    """Run the test of an erratum; what it raises is in the entry."""
    start = time.perf_counter()
    finding, error = Finding(float("nan"), float("nan")), ""
    try:
        finding = subject.measure()
    except Exception:  # whatever it is, it is a finding
        error = traceback.format_exc()
    return Entry(subject, finding, time.perf_counter() - start, error)
