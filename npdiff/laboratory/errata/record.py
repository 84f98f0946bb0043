"""An erratum: a wrong formula, the right one, and a test that distinguishes them.

Both formulas go through the same test, which is independent of either: an identity, a
composition of steps, a quadrature, a definition written out in loops. An erratum holds while the
wrong formula fails the test and the right one passes. The same test computes how much the mistake
matters.
"""

import math
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

#: The kinds of evidence for an occurrence.
READ = "read in its source"
QUOTED = "stated or quoted in a public thread"
MEASURED = "measured on its output"
REPORTED = "reported by others; the page itself was not seen"


class Occurrence(NamedTuple):
    """A paper or a program with the wrong formula, when it was examined.

    Attributes
    ----------
    where : a paper and its section, or a project and its file or thread
    evidence : one of the four kinds above
    """

    where: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.where} ({self.evidence})"


class Residuals(NamedTuple):
    """The residuals of the two formulas in the test of an erratum.

    Attributes
    ----------
    wrong, right : the residual of either formula
    figures : values by name, for the sentence on how much the mistake matters
    """

    wrong: float
    right: float
    figures: Mapping[str, float] = {}


@dataclass(frozen=True)
class Erratum:
    """A formula that is misprinted in a paper or wrong in programs that are in use.

    Attributes
    ----------
    name : identifier of the erratum
    title : a few words
    area : the part of the package with the right formula
    occurrences : where the wrong formula is found
    wrong, right : the two formulas, LaTeX
    labels : labels of the right equations in npdiff
    method : method of the test that distinguishes the two formulas
    tolerance : the largest residual that passes the test
    impact : how much the mistake matters, with the figures of the test in braces
    measure : the test
    """

    name: str
    title: str
    area: str
    occurrences: tuple[Occurrence, ...]
    wrong: str
    right: str
    labels: tuple[str, ...]
    method: str
    tolerance: float
    impact: str
    measure: Callable[[], Residuals]

    @property
    def about(self) -> str:
        """What is wrong and why: the docstring of the test."""
        return " ".join((self.measure.__doc__ or "").split())


@dataclass(frozen=True)
class ErratumResult:
    """An erratum and the result of its test.

    Attributes
    ----------
    erratum : Erratum
    residuals : the residuals of its test
    seconds : the duration of the test
    error : the traceback, if the test raised
    """

    erratum: Erratum
    residuals: Residuals
    seconds: float
    error: str = ""

    @property
    def holds(self) -> bool:
        """Whether the wrong formula fails the test and the right one passes."""
        tolerance = self.erratum.tolerance
        return not self.error and bool(self.residuals.wrong > tolerance >= self.residuals.right)

    @property
    def verdict(self) -> str:
        """The result in a few words."""
        tolerance = self.erratum.tolerance
        if self.error:
            return "test raised"
        if not self.residuals.right <= tolerance:
            return "right formula fails"
        return "confirmed" if self.residuals.wrong > tolerance else "wrong formula passes"

    @property
    def impact(self) -> str:
        """How much the mistake matters, with the measured figures."""
        if self.error:
            return ""
        return self.erratum.impact.format(**self.residuals.figures)

    def data(self) -> dict[str, Any]:
        """The result as plain data, for JSON and for the documentation."""
        erratum = self.erratum
        fields = ("name", "title", "area", "wrong", "right", "method", "tolerance", "about")
        return {
            **{name: getattr(erratum, name) for name in fields},
            "labels": list(erratum.labels),
            "occurrences": [occurrence._asdict() for occurrence in erratum.occurrences],
            "impact": self.impact,
            "figures": {name: float(value) for name, value in self.residuals.figures.items()},
            "wrong_residual": _finite(self.residuals.wrong),
            "right_residual": _finite(self.residuals.right),
            "holds": self.holds,
            "verdict": self.verdict,
            "error": self.error,
        }


def _finite(value: float) -> float | None:
    """A float for JSON, which has no infinity and no NaN."""
    return float(value) if math.isfinite(value) else None


#: The registered errata by name.
REGISTERED: dict[str, Erratum] = {}


def erratum(
    name: str,
    *,
    title: str,
    occurrences: tuple[Occurrence, ...],
    wrong: str,
    right: str,
    labels: tuple[str, ...],
    method: str,
    tolerance: float,
    impact: str,
) -> Callable[[Callable[[], Residuals]], Callable[[], Residuals]]:
    """Decorator that registers the test of an erratum.

    Parameters
    ----------
    name, title, occurrences, wrong, right, labels, method, tolerance, impact : see :class:`Erratum`

    Raises
    ------
    ValueError
        If the name is already registered.
    """

    def register(measure: Callable[[], Residuals]) -> Callable[[], Residuals]:
        if name in REGISTERED:
            raise ValueError(f"erratum {name!r} is already registered: choose another name")
        area = measure.__module__.rpartition(".")[2]
        REGISTERED[name] = Erratum(
            name, title, area, occurrences, wrong, right, labels, method, tolerance, impact, measure
        )
        return measure

    return register


def evaluate(erratum: Erratum) -> ErratumResult:
    """Run the test of an erratum; an exception becomes part of the result."""
    start = time.perf_counter()
    residuals, error = Residuals(float("nan"), float("nan")), ""
    try:
        residuals = erratum.measure()
    except Exception:
        error = traceback.format_exc()
    return ErratumResult(erratum, residuals, time.perf_counter() - start, error)
