"""``npdiff verify``: the table, one equation at length, JSON, failures."""

import dataclasses
import json
from typing import Any

import pytest

from npdiff.cli import verify
from npdiff.laboratory import runner
from npdiff.laboratory.equations import equations
from npdiff.laboratory.registry import checks
from npdiff.laboratory import orders

FEW = ("posterior-mean", "transition", "clipping")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the package had three equations."""
    monkeypatch.setattr(verify, "wanted", lambda words: runner.wanted(words or FEW))


def only_check(label: str) -> str:
    """The name of a check that proves this label; the test then breaks it."""
    return runner.checks_of(label)[0].name


def test_one_equation_at_length(npdiff: Any) -> None:
    result = npdiff("verify", "marginal", "--jobs", "1")
    assert result.code == 0
    for words in (
        r"      x_t = \alpha_t x_0 + \sigma_t \epsilon",
        "home       npdiff/process.py, line",
        "source     Ho et al. 2020, Eq. 4",
        "route      ",
        "residuals  ",
        "verdict    proved, worst ",
        "all proved",
    ):
        assert words in result.out


def test_words_name_labels_files_and_checks() -> None:
    assert [e.label for e in runner.wanted(["posterior-mean"])] == ["posterior-mean"]
    assert {e.label for e in runner.wanted(["posterior"])} >= {
        "posterior-mean",
        "posterior-variance",
    }
    assert {e.file for e in runner.wanted(["samplers/_ddim.py"])} == {"samplers/ddim.py"}
    name = only_check("marginal")
    assert "marginal" in {e.label for e in runner.wanted([name])}
    # as the output names them, to be copied
    ddim = runner.wanted(["npdiff/samplers/_ddim.py"])
    assert ddim == runner.wanted(["samplers/_ddim.py"])
    location = checks()[name].location
    assert "marginal" in {e.label for e in runner.wanted([f"npdiff/{location}"])}
    assert len(runner.wanted([])) == len(equations())


def test_unknown_equations(npdiff: Any) -> None:
    assert npdiff("verify", "posterior-maen").failed_with("posterior-maen", "posterior-mean")
    assert npdiff("verify", "qqqqqq").failed_with("`npdiff verify` lists them all")


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("width", [60, 80, 120, 400])
def test_the_table_fits_the_terminal(
    npdiff: Any, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out = npdiff("verify", "--jobs", "1").out
    lines = out.splitlines()[:-2]  # the last is the summary
    assert max(map(len, lines)) <= width
    for label in FEW:
        assert any(line.startswith(label) and line.endswith("proved") for line in lines)
    assert ("independent route" in out) == (width >= 120)
    wide = npdiff("verify", "--jobs", "1", "--wide").out
    assert "npdiff/process.py".removeprefix("npdiff/") + ":posterior_mean" in wide
    assert "…" not in wide


@pytest.mark.usefixtures("few")
def test_for_programs(npdiff: Any) -> None:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    result = npdiff("verify", "--json", "--cases", "3", "--seed", "5", "--jobs", "1")
    facts = json.loads(result.out, parse_constant=no_constant)
    assert facts["proved"]
    assert facts["seed"] == 5
    assert [e["label"] for e in facts["equations"]] == list(FEW)
    first = facts["equations"][0]
    assert first["home"]["file"] == "npdiff/process.py"
    assert first["sources"][0].startswith("Ho et al. 2020")
    assert all(c["passed"] and c["worst"] <= c["tolerance"] for c in first["checks"])
    assert all(len(c["residuals"]) == c["cases"] == 3 for c in first["checks"])


def test_processes_change_nothing(npdiff: Any) -> None:
    one, two = (
        json.loads(npdiff("verify", "--json", "--cases", 2, "--jobs", jobs, *FEW).out)["equations"]
        for jobs in (1, 2)
    )
    for equation in (*one, *two):
        for check in equation["checks"]:
            del check["seconds"]
    assert one == two


def test_what_fails(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = only_check("slerp")
    strict = dataclasses.replace(checks()[name], tolerance=-1.0)
    monkeypatch.setitem(checks(), name, strict)
    result = npdiff("verify", "slerp", "--jobs", "1")
    assert result.code == 1
    assert "verdict    FAILED" in result.out
    assert "1 NOT PROVED: slerp" in result.out


@pytest.mark.usefixtures("few")
def test_a_check_that_breaks_down(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: object) -> float:
        raise ZeroDivisionError("as if")

    name = only_check("clipping")
    monkeypatch.setitem(checks(), name, dataclasses.replace(checks()[name], run=broken))
    result = npdiff("verify", "--jobs", "1")
    assert result.code == 1
    assert "FAILED" in result.out
    assert "broke down:\nTraceback" in result.out
    assert "ZeroDivisionError: as if" in result.out
    told = json.loads(npdiff("verify", "clipping", "--json", "--jobs", "1").out)
    assert "inf" in [check["worst"] for check in told["equations"][0]["checks"]]
    assert not told["proved"]


def test_an_equation_without_a_check(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "checks_of", lambda label: ())
    result = npdiff("verify", "marginal", "--jobs", "1")
    assert result.code == 1
    assert "check      none: NOT PROVED" in result.out
    monkeypatch.setattr(verify, "wanted", lambda words: runner.wanted(FEW))
    assert npdiff("verify", "--jobs", "1").out.count("NO CHECK") == 3


def test_orders(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = [claim for claim in orders.CLAIMS if claim.sampler in ("ddim", "heun")]
    monkeypatch.setattr(verify, "CLAIMS", claims)
    result = npdiff("verify", "--orders")
    assert result.code == 0
    assert "ddim" in result.out
    assert "as claimed" in result.out
    wrong = [dataclasses.replace(claims[0], order=2)]
    monkeypatch.setattr(verify, "CLAIMS", wrong)
    result = npdiff("verify", "--orders", "--json")
    assert result.code == 1
    facts = json.loads(result.out)
    assert {fact["passed"] for fact in facts} == {False}
    assert facts[0]["slope"] == pytest.approx(1.0, abs=0.1)


def test_orders_of_some(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {c.sampler for c in verify.claims(["order=3"])} >= {"unipc", "lms"}
    assert {c.sampler for c in verify.claims(["plms", "heun"])} == {"plms", "heun"}
    assert npdiff("verify", "--orders", "posterior").failed_with("posterior", "dpmpp-2s")
    found = orders.Convergence(orders.CLAIMS[0], "ve", (1, 2, 4), (1.0, 0.5, 0.25), (1, 2, 4))
    monkeypatch.setattr(verify, "measure", lambda c, bed: dataclasses.replace(found, claim=c))
    for width in (60, 80, 100):  # the options, which tell them apart, have room from 80 on
        monkeypatch.setenv("COLUMNS", str(width))
        out = npdiff("verify", "--orders", "unipc").out
        assert max(map(len, out.splitlines())) <= width
        assert ("…" not in out) == (width >= 90)
        assert "order=3 corrector=False" in out or width < 80


def test_what_is_allowed_is_not_rounded_away() -> None:
    assert [verify.bound(x) for x in (1e-9, 0.15, 0.0, 7.0)] == [
        "1e-09", "1.5e-01", "0e+00", "7e+00",
    ]  # fmt: skip


def test_help_teaches(npdiff: Any) -> None:
    assert "examples:\n  npdiff verify" in npdiff("verify", "--help").out
    assert npdiff("verify", "--cases", "0").failed_with("from 1 up")
