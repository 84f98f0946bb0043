"""Errata: each wrong formula fails, by far, the test that the right one passes."""

import json
import re
import string
from pathlib import Path

import pytest

from npdiff.laboratory import errata
from npdiff.laboratory.equations import equations
from npdiff.laboratory.errata import (
    AREAS,
    Erratum,
    ErratumResult,
    Residuals,
    all_errata,
    as_records,
    evaluate,
)

ERRATA = all_errata()
FOLDER = Path(errata.__file__).parent


@pytest.fixture(scope="module")
def results() -> dict[str, ErratumResult]:
    return {name: evaluate(erratum) for name, erratum in ERRATA.items()}


@pytest.mark.parametrize("name", ERRATA)
def test_the_test_distinguishes_the_two_formulas(
    results: dict[str, ErratumResult], name: str
) -> None:
    result = results[name]
    assert result.holds, result.error or result.verdict
    assert result.residuals.wrong > 5.0 * result.erratum.tolerance
    assert result.seconds < 3.0


@pytest.mark.parametrize("name", ERRATA)
def test_an_erratum_is_complete(results: dict[str, ErratumResult], name: str) -> None:
    """Two formulas, the equation in npdiff, and figures that are all used."""
    erratum, figures = ERRATA[name], results[name].residuals.figures
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)
    assert erratum.wrong != erratum.right
    assert erratum.occurrences
    assert erratum.about
    assert erratum.about.endswith(".")
    assert set(erratum.labels) <= set(equations())
    assert erratum.labels
    cited = {field for _, field, _, _ in string.Formatter().parse(erratum.impact) if field}
    assert cited == set(figures)
    assert not re.search(r"[{}]|nan|inf\b", results[name].impact)
    for formula in (erratum.wrong, erratum.right):
        assert formula.count("{") == formula.count("}")
        assert len(re.findall(r"\\left\b", formula)) == len(re.findall(r"\\right\b", formula))


def test_every_file_is_an_area_and_there_are_34_errata() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")}
    assert files == {*AREAS, "__init__", "record"}
    assert {erratum.area for erratum in ERRATA.values()} == set(AREAS)
    assert len(ERRATA) >= 34


def test_figures_agree_with_independent_measurements(results: dict[str, ErratumResult]) -> None:
    """Measured before on other programs, with other code."""
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
        assert results[name].residuals.figures[figure] == pytest.approx(value, rel=0.01), name


def test_results_are_json_data() -> None:
    records = json.loads(json.dumps(as_records()))
    assert [record["name"] for record in records] == list(ERRATA)
    for record in records:
        assert record["holds"]
        assert record["wrong_residual"] > record["tolerance"] >= record["right_residual"]
        assert all(
            occurrence["where"] and occurrence["evidence"] for occurrence in record["occurrences"]
        )
        assert record["error"] == ""


def example_erratum(wrong: float, right: float) -> Erratum:
    def measure() -> Residuals:
        """An example."""
        return Residuals(wrong, right, {"size": wrong})

    return Erratum("a-b", "", "", (), "w", "r", (), "", 1e-3, "{size:.1f} too much", measure)


NAN = float("nan")


@pytest.mark.parametrize(
    ("wrong", "right", "verdict"),
    [
        (1.0, 0.0, "confirmed"),
        (float("inf"), 1e-3, "confirmed"),
        (1e-3, 0.0, "wrong formula passes"),
        (NAN, 0.0, "wrong formula passes"),
        (1.0, 0.1, "right formula fails"),
        (1.0, NAN, "right formula fails"),
    ],
)
def test_the_verdict_names_the_formula_at_fault(wrong: float, right: float, verdict: str) -> None:
    result = evaluate(example_erratum(wrong, right))
    assert result.verdict == verdict
    assert result.holds == (verdict == "confirmed")
    assert result.impact == f"{wrong:.1f} too much"


def test_an_exception_in_a_test_is_part_of_the_result() -> None:
    def broken() -> Residuals:
        raise ZeroDivisionError("on purpose")

    erratum = Erratum("a-b", "", "", (), "w", "r", (), "", 1e-3, "{size}", broken)
    result = evaluate(erratum)
    assert not result.holds
    assert (result.verdict, result.impact) == ("test raised", "")
    assert "on purpose" in result.data()["error"]


def test_a_name_is_registered_once() -> None:
    name = next(iter(ERRATA))
    with pytest.raises(ValueError, match=name):
        errata.erratum(
            name, title="", occurrences=(), wrong="", right="", labels=(), method="", tolerance=0.0,
            impact="",
        )(lambda: Residuals(1.0, 0.0))  # fmt: skip
