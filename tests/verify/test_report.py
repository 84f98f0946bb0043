"""Reports: their text, their verdict, and the error of ``check``."""

import math

import pytest

from npdiff.verify import Finding, PullbackReport, Report
from npdiff.verify.report import deviation

GOOD = Finding("a is b", 1e-12, 1e-9)
BAD = Finding("c is d", 0.25, 1e-9, "a sign")


def test_a_report_that_passes():
    report = Report("mine", (GOOD,))
    assert report.passed
    assert report.check() is report
    assert report["a is"] is GOOD
    assert "a is" in report
    assert "c" not in report
    with pytest.raises(KeyError):
        report["c"]
    assert repr(report) == str(report)  # what a notebook prints
    assert report.worst == 1e-12
    assert str(report).splitlines() == [
        "            found    allowed  property",
        "ok       1.00e-12   1.00e-09  a is b",
        "mine: passed",
    ]


def test_a_report_that_fails_gives_the_hint():
    report = Report("mine", (GOOD, BAD), ("a note",))
    assert not report.passed
    assert report.failures == (BAD,)
    assert str(report).splitlines()[2:] == [
        "FAILED   2.50e-01   1.00e-09  c is d",
        "                              a sign",
        "note: a note",
        "mine: FAILED, 1 of 2 properties",
    ]
    with pytest.raises(AssertionError, match=r"c is d[\s\S]*a sign"):
        report.check()


@pytest.mark.parametrize("residual", [math.nan, math.inf])
def test_a_residual_that_is_not_finite_fails(residual):
    assert Report("mine", (Finding("a", residual, 1.0), BAD)).worst == math.inf
    assert not Finding("a", residual, 1e9).passed
    assert not Finding("a", residual, math.inf).passed


def test_a_report_without_findings_does_not_pass():
    assert not Report("mine", ()).passed
    assert Report("mine", ()).worst == 0.0


def test_a_pullback_report_is_a_report():
    assert issubclass(PullbackReport, Report)


def test_deviation_is_relative_to_the_largest_expected_magnitude():
    assert deviation([1.0, 2.0], [1.0, 2.0]) == 0.0
    assert deviation([1.0], [1.0, 2.0]) == math.inf
    assert deviation([math.nan], [1.0]) == math.inf
    assert deviation([0.5], [0.0]) > 1e200
