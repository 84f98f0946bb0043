"""``npdiff errata``: the ledger as a table, at length, as JSON; its exit status."""

import json
from typing import Any

import pytest

from npdiff.cli import errata
from npdiff.laboratory.errata import Erratum, Finding, ledger


def few(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Keep the ledger short, for the time of a test."""
    chosen = {name: ledger()[name] for name in names}
    monkeypatch.setattr(errata, "ledger", lambda: chosen)


def test_the_table(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch, "laplace-square-root", "data-from-noise", "keys-before-queries")
    result = npdiff("errata")
    assert result.code == 0
    assert "SCHEDULES\nlaplace-square-root  " in result.out
    assert "(as others report)" in result.out
    assert result.out.count("  told apart\n") == 3
    assert "\n3 of 3 told apart" in result.out
    assert max(map(len, result.out.splitlines())) <= 100


def test_one_at_length(npdiff: Any) -> None:
    result = npdiff("errata", "laplace-square-root")
    assert result.code == 0
    for part in (
        "diffusers, betas_for_alpha_bar, alpha_transform_type='laplace' (read in its source)",
        r"\sqrt{\frac{e^{\lambda_t}}{1 + e^{\lambda_t}}}",
        "laplace-log-snr  schedules/laplace.py:Laplace",
        "Log-SNR is 0.881 where it should be 0",
        "limit 1e-09: told apart",
    ):
        assert part in result.out


def test_json(npdiff: Any) -> None:
    result = npdiff("errata", "known-pixels", "--json")
    (entry,) = json.loads(result.out)
    assert result.code == 0
    assert (entry["name"], entry["holds"], entry["area"]) == ("known-pixels", True, "editing")
    assert entry["figures"]["early"] == pytest.approx(0.047, abs=1e-3)


def test_a_part_of_a_name(npdiff: Any) -> None:
    assert npdiff("errata", "known-pix").out == npdiff("errata", "known-pixels").out
    assert npdiff("errata", "third-order").failed_with(
        "'third-order'", "third-order-multistep, third-order-ends-low"
    )
    assert npdiff("errata", "known-pixles").failed_with("did you mean known-pixels?")


def test_it_fits_the_terminal(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch, "keys-before-queries")
    monkeypatch.setenv("COLUMNS", "50")
    for words in ((), ("keys-before-queries",)):
        lines = [line for line in npdiff("errata", *words).out.splitlines() if "  told" not in line]
        assert max(len(line) for line in lines if line.startswith("    ")) <= 50


def test_an_unknown_name(npdiff: Any) -> None:
    assert npdiff("errata", "everything").failed_with("everything", "npdiff errata")


@pytest.mark.parametrize("found", [Finding(0.0, 0.0), Finding(1.0, 1.0), None])
def test_it_fails_where_an_erratum_does_not_hold(
    npdiff: Any, monkeypatch: pytest.MonkeyPatch, found: Finding | None
) -> None:
    def measure() -> Finding:
        """Made up."""
        if found is None:
            raise ZeroDivisionError("of all things")
        return found

    place = ledger()["known-pixels"].places[:1]
    made = Erratum("a-b", "T", "editing", place, "w", "r", ("marginal",), "", 1e-3, "", measure)
    monkeypatch.setattr(errata, "ledger", lambda: {"a-b": made})
    for words in ((), ("a-b",), ("--json",)):
        assert npdiff("errata", *words).code == 1
