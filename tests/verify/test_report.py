"""Reports: what they print, when they pass, what they raise."""

import math

import pytest

from npdiff.verify import Finding, Findings, PullbackReport, Report
from npdiff.verify.report import deviation

GOOD = Finding("a is b", 1e-12, 1e-9)
BAD = Finding("c is d", 0.25, 1e-9, "a sign")


def test_what_passes():
    report = Findings("mine", (GOOD,))
    assert report.passed
    assert report.check() is report
    assert report["a is"] is GOOD
    assert "a is" in report
    assert "c" not in report
    with pytest.raises(KeyError):
        report["c"]
    assert str(report).splitlines() == [
        "            found    allowed  property",
        "ok       1.00e-12   1.00e-09  a is b",
        "mine: passed",
    ]


def test_what_fails_says_why():
    report = Findings("mine", (GOOD, BAD), ("a note",))
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
def test_what_is_no_number_fails(residual):
    assert not Finding("a", residual, 1e9).passed
    assert not Finding("a", residual, math.inf).passed


def test_nothing_looked_at_is_not_passed():
    assert not Findings("mine", ()).passed


def test_all_reports_are_one_kind():
    assert issubclass(Findings, Report)
    assert issubclass(PullbackReport, Report)


def test_deviation():
    assert deviation([1.0, 2.0], [1.0, 2.0]) == 0.0
    assert deviation([1.0], [1.0, 2.0]) == math.inf
    assert deviation([math.nan], [1.0]) == math.inf
    assert deviation([0.5], [0.0]) > 1e200
