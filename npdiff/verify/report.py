"""What a proof returns: a frozen report that prints as a table and raises on request."""

import math
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self


class Report(ABC):
    """A verdict: ``passed``, a text that says why, and ``check()`` for tests."""

    @property
    @abstractmethod
    def passed(self) -> bool:
        """Whether all is as it should be."""

    def check(self) -> Self:
        """Raise AssertionError unless passed; else the report itself."""
        if not self.passed:
            raise AssertionError(str(self))
        return self


@dataclass(frozen=True)
class Finding:
    """One property that was looked at.

    Attributes
    ----------
    name : the property, as it should be
    residual : how far from it; a number that is not finite fails
    tolerance : how far it may be
    hint : what the usual cause is where it fails
    """

    name: str
    residual: float
    tolerance: float
    hint: str = ""

    @property
    def passed(self) -> bool:
        """Whether the residual is within the tolerance; NaN is not."""
        return math.isfinite(self.residual) and self.residual <= self.tolerance


@dataclass(frozen=True)
class Findings(Report):
    """The verdict on a schedule, a sampler, a denoiser or a forward process.

    Attributes
    ----------
    name : what was looked at
    findings : what was found, in the order of the checks
    notes : lines for the reader
    measured : rows of numbers behind the findings, by name: errors at each number of steps
    """

    name: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    measured: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that failed."""
        return tuple(finding for finding in self.findings if not finding.passed)

    @property
    def passed(self) -> bool:
        """Whether something was looked at and nothing failed."""
        return bool(self.findings) and not self.failures

    def __getitem__(self, name: str) -> Finding:
        """The finding whose name starts with ``name``."""
        for finding in self.findings:
            if finding.name.startswith(name):
                return finding
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        return any(finding.name.startswith(name) for finding in self.findings)

    def __str__(self) -> str:
        lines = [f"{'':6}  {'found':>9}  {'allowed':>9}  property"]
        for finding in self.findings:
            mark = "ok" if finding.passed else "FAILED"
            numbers = f"{_number(finding.residual)}  {_number(finding.tolerance)}"
            lines.append(f"{mark:6}  {numbers}  {finding.name}")
            if not finding.passed and finding.hint:
                lines += [f"{'':30}{line}" for line in textwrap.wrap(finding.hint, 66)]
        for name, row in self.measured.items():
            lines.append(f"{name:8}" + "".join(f"  {_number(value)}" for value in row))
        lines += [f"note: {note}" for note in self.notes]
        failed = len(self.failures)
        verdict = (
            "passed" if self.passed else f"FAILED, {failed} of {len(self.findings)} properties"
        )
        lines.append(f"{self.name}: {verdict}")
        return "\n".join(lines)


def _number(value: float) -> str:
    """Nine columns; a count or a zero as what it is."""
    whole = math.isfinite(value) and value == int(value) and abs(value) < 1e8
    return f"{int(value):9d}" if whole else f"{value:9.2e}"


def deviation(found: object, expected: object) -> float:
    """The largest absolute difference in units of the largest expected value, at least 1e-300.

    Arrays that cannot be compared, and what is not finite, deviate by infinity.

    Examples
    --------
    >>> deviation([1.0, 4.0], [1.0, 2.0])
    1.0
    """
    import numpy as np

    a, b = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if a.shape != b.shape or not np.isfinite(a).all():
        return math.inf
    return float(np.abs(a - b).max(initial=0.0) / max(np.abs(b).max(initial=0.0), 1e-300))


def called(f: object) -> str:
    """What to call something callable in a report."""
    return getattr(f, "__name__", type(f).__name__)
