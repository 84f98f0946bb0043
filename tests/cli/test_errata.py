"""``npdiff errata``: the table, one erratum in full, JSON, and the exit status."""

import json
from typing import Any

import pytest

from npdiff.cli import errata
from npdiff.laboratory.errata import Erratum, Residuals, all_errata


def select(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Restrict the errata to ``names`` during a test."""
    chosen = {name: all_errata()[name] for name in names}
    monkeypatch.setattr(errata, "all_errata", lambda: chosen)


def test_the_table_lists_errata_by_area(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    select(monkeypatch, "laplace-square-root", "data-from-noise", "keys-before-queries")
    result = npdiff("errata")
    assert result.code == 0
    assert "SCHEDULES\nlaplace-square-root  " in result.out
    assert "(as others report)" in result.out
    assert result.out.count("  confirmed\n") == 3
    assert "\n3 of 3 confirmed" in result.out
    assert max(map(len, result.out.splitlines())) <= 100


def test_one_erratum_in_full(npdiff: Any) -> None:
    result = npdiff("errata", "laplace-square-root")
    assert result.code == 0
    for part in (
        "diffusers, betas_for_alpha_bar, alpha_transform_type='laplace' (read in its source)",
        r"\sqrt{\frac{e^{\lambda_t}}{1 + e^{\lambda_t}}}",
        "laplace-log-snr  schedules/laplace.py:Laplace",
        "Log-SNR is 0.881 instead of 0",
        "limit 1e-09: confirmed",
    ):
        assert part in result.out


def test_json_output(npdiff: Any) -> None:
    result = npdiff("errata", "known-pixels", "--json")
    (record,) = json.loads(result.out)
    assert result.code == 0
    assert (record["name"], record["holds"], record["area"]) == ("known-pixels", True, "editing")
    assert record["figures"]["early"] == pytest.approx(0.047, abs=1e-3)


def test_a_unique_part_of_a_name_is_enough(npdiff: Any) -> None:
    assert npdiff("errata", "known-pix").out == npdiff("errata", "known-pixels").out
    assert npdiff("errata", "third-order").failed_with(
        "'third-order'", "third-order-multistep, third-order-ends-low"
    )
    assert npdiff("errata", "known-pixles").failed_with("did you mean known-pixels?")


def test_the_text_is_wrapped_to_the_terminal(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    select(monkeypatch, "keys-before-queries")
    monkeypatch.setenv("COLUMNS", "50")
    for words in ((), ("keys-before-queries",)):
        lines = [
            line for line in npdiff("errata", *words).out.splitlines() if "  confirmed" not in line
        ]
        assert max(len(line) for line in lines if line.startswith("    ")) <= 50


def test_an_unknown_name_is_an_error(npdiff: Any) -> None:
    assert npdiff("errata", "everything").failed_with("everything", "npdiff errata")


@pytest.mark.parametrize("found", [Residuals(0.0, 0.0), Residuals(1.0, 1.0), None])
def test_the_exit_status_is_1_if_an_erratum_does_not_hold(
    npdiff: Any, monkeypatch: pytest.MonkeyPatch, found: Residuals | None
) -> None:
    def measure() -> Residuals:
        """Invented."""
        if found is None:
            raise ZeroDivisionError("on purpose")
        return found

    occurrence = all_errata()["known-pixels"].occurrences[:1]
    made = Erratum(
        "a-b", "T", "editing", occurrence, "w", "r", ("marginal",), "", 1e-3, "", measure
    )
    monkeypatch.setattr(errata, "all_errata", lambda: {"a-b": made})
    for words in ((), ("a-b",), ("--json",)):
        assert npdiff("errata", *words).code == 1
