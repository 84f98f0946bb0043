"""The result of a verification: a frozen report that prints as a table and can raise."""

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True)
class Finding:
    """One property that was checked.

    Attributes
    ----------
    name : the property that should hold
    residual : the deviation from it; NaN and infinity fail
    tolerance : the largest residual that passes
    hint : the usual cause of a failure
    """

    name: str
    residual: float
    tolerance: float
    hint: str = ""

    @property
    def passed(self) -> bool:
        """Whether the residual is finite and within the tolerance."""
        return math.isfinite(self.residual) and self.residual <= self.tolerance


@dataclass(frozen=True, repr=False)
class Report:
    """The result of verifying a schedule, a sampler, a denoiser, a forward process or a pullback.

    ``report.passed`` is the verdict, ``report.check()`` raises if it is false, and the report
    prints as a table, in a notebook too. ``report["samples are"]`` is the finding whose name starts
    with this text.

    Attributes
    ----------
    name : what was verified
    findings : the properties, in the order of the checks
    notes : remarks, one line each
    measured : sequences behind the findings, by name: the error at each number of steps
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
        """Whether there are findings and none of them failed."""
        return bool(self.findings) and not self.failures

    @property
    def worst(self) -> float:
        """The largest residual; NaN counts as infinity."""
        residuals = (finding.residual for finding in self.findings)
        return max((math.inf if math.isnan(r) else r for r in residuals), default=0.0)

    def check(self) -> Self:
        """Raise AssertionError if a finding failed; otherwise return the report."""
        if not self.passed:
            raise AssertionError(str(self))
        return self

    def __getitem__(self, name: str) -> Finding:
        """The finding whose name starts with ``name``."""
        for finding in self.findings:
            if finding.name.startswith(name):
                return finding
        names = ", ".join(repr(finding.name) for finding in self.findings) or "none"
        raise KeyError(f"no finding starts with {name!r}: the findings are {names}")

    def __contains__(self, name: str) -> bool:
        return any(finding.name.startswith(name) for finding in self.findings)

    def __str__(self) -> str:
        lines = [f"{'':6}  {'found':>9}  {'allowed':>9}  property"]
        for finding in self.findings:
            mark = "ok" if finding.passed else "FAILED"
            columns = f"{_column(finding.residual)}  {_column(finding.tolerance)}"
            lines.append(f"{mark:6}  {columns}  {finding.name}")
            if not finding.passed and finding.hint:
                lines += [f"{'':30}{line}" for line in textwrap.wrap(finding.hint, 66)]
        for name, values in self.measured.items():
            lines.append(f"{name:8}" + "".join(f"  {_column(value)}" for value in values))
        lines += [f"note: {note}" for note in self.notes]
        failed, total = len(self.failures), len(self.findings)
        verdict = "passed" if self.passed else f"FAILED, {failed} of {total} properties"
        lines.append(f"{self.name}: {verdict}")
        return "\n".join(lines)

    __repr__ = __str__


def _column(value: float) -> str:
    """A float in nine characters; an integer without decimals."""
    integer = math.isfinite(value) and value == int(value) and abs(value) < 1e8
    return f"{int(value):9d}" if integer else f"{value:9.2e}"


def deviation(found: object, expected: object) -> float:
    """The largest absolute difference, relative to the largest expected magnitude (min. 1e-300).

    It is infinite if the shapes differ or ``found`` is not finite.

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


def name_of(f: object) -> str:
    """The name of a callable, or of its class, for a report."""
    return getattr(f, "__name__", type(f).__name__)
