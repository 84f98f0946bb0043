"""The errata ledger: every wrong form fails the test that the right one passes, by far."""

import json
import re
import string
from pathlib import Path

import pytest

from npdiff.laboratory import errata
from npdiff.laboratory.equations import equations
from npdiff.laboratory.errata import AREAS, Entry, Erratum, Finding, as_data, judge, ledger

LEDGER = ledger()
FOLDER = Path(errata.__file__).parent


@pytest.fixture(scope="module")
def entries() -> dict[str, Entry]:
    return {name: judge(subject) for name, subject in LEDGER.items()}


@pytest.mark.parametrize("name", LEDGER)
def test_the_two_forms_are_told_apart(entries: dict[str, Entry], name: str) -> None:
    entry = entries[name]
    assert entry.holds, entry.error or entry.verdict
    assert entry.finding.wrong > 5.0 * entry.erratum.tolerance
    assert entry.seconds < 3.0


@pytest.mark.parametrize("name", LEDGER)
def test_an_entry_says_what_it_has_to(entries: dict[str, Entry], name: str) -> None:
    """Both forms, where the right one is, and figures that were computed, all of them used."""
    subject, figures = LEDGER[name], entries[name].finding.figures
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)
    assert subject.wrong != subject.right
    assert subject.places
    assert subject.about
    assert subject.about.endswith(".")
    assert set(subject.labels) <= set(equations())
    assert subject.labels
    cited = {field for _, field, _, _ in string.Formatter().parse(subject.matters) if field}
    assert cited == set(figures)
    assert not re.search(r"[{}]|nan|inf\b", entries[name].matters)
    for form in (subject.wrong, subject.right):
        assert form.count("{") == form.count("}")
        assert len(re.findall(r"\\left\b", form)) == len(re.findall(r"\\right\b", form))


def test_there_are_enough_and_none_is_forgotten() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")}
    assert files == {*AREAS, "__init__", "record"}
    assert {subject.area for subject in LEDGER.values()} == set(AREAS)
    assert len(LEDGER) >= 34


def test_sizes_that_others_have_measured_too(entries: dict[str, Entry]) -> None:
    """Figures that were found before, in other programs, with other code."""
    for name, figure, value in (
        ("third-order-multistep", "ratio_12", 0.83),
        ("third-order-multistep", "ratio_24", 1.05),
        ("third-order-multistep", "ratio_96", 2.5),
        ("third-order-multistep", "ratio_192", 4.9),
        ("previous-time-by-division", "trailing_300", 1.0632),
        ("previous-time-by-division", "linspace_300", 1.0651),
        ("previous-time-by-division", "trailing_30", 0.9147),
        ("noising-by-differences", "at_10", 0.191),
        ("noising-by-differences", "at_900", 0.067),
        ("tanh-for-the-normal-distribution", "absolute", 1.79e-4),
        ("tanh-for-the-normal-distribution", "tail", 0.45),
        ("flow-shift-twice", "once", 0.002994),
        ("flow-shift-twice", "twice", 0.008929),
        ("products-in-float32", "first", 1.66e-4),
        ("linear-betas-and-t", "abar_100", 0.3636),
        ("dynamic-thresholding-clamp", "after", 0.8),
    ):
        assert entries[name].finding.figures[figure] == pytest.approx(value, rel=0.01), name


def test_the_ledger_is_plain_data() -> None:
    data = json.loads(json.dumps(as_data()))
    assert [entry["name"] for entry in data] == list(LEDGER)
    for entry in data:
        assert entry["holds"]
        assert entry["wrong_residual"] > entry["tolerance"] >= entry["right_residual"]
        assert all(place["where"] and place["known"] for place in entry["places"])
        assert entry["error"] == ""


def made(wrong: float, right: float) -> Erratum:
    def measure() -> Finding:
        """Made up."""
        return Finding(wrong, right, {"size": wrong})

    return Erratum("a-b", "", "", (), "w", "r", (), "", 1e-3, "{size:.1f} too much", measure)


NAN = float("nan")


@pytest.mark.parametrize(
    ("wrong", "right", "verdict"),
    [
        (1.0, 0.0, "told apart"),
        (float("inf"), 1e-3, "told apart"),
        (1e-3, 0.0, "wrong form passes"),
        (NAN, 0.0, "wrong form passes"),
        (1.0, 0.1, "right form fails"),
        (1.0, NAN, "right form fails"),
    ],
)
def test_verdicts(wrong: float, right: float, verdict: str) -> None:
    entry = judge(made(wrong, right))
    assert entry.verdict == verdict
    assert entry.holds == (verdict == "told apart")
    assert entry.matters == f"{wrong:.1f} too much"


def test_a_test_that_breaks_down_is_a_finding() -> None:
    def broken() -> Finding:
        raise ZeroDivisionError("of all things")

    subject = Erratum("a-b", "", "", (), "w", "r", (), "", 1e-3, "{size}", broken)
    entry = judge(subject)
    assert not entry.holds
    assert (entry.verdict, entry.matters) == ("broke down", "")
    assert "of all things" in entry.data()["error"]


def test_a_name_is_taken_once() -> None:
    name = next(iter(LEDGER))
    with pytest.raises(ValueError, match=name):
        errata.erratum(
            name, title="", places=(), wrong="", right="", labels=(), route="", tolerance=0.0,
            matters="",
        )(lambda: Finding(1.0, 0.0))  # fmt: skip
