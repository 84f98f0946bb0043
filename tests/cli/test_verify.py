"""``npdiff verify``: the table, one equation in detail, JSON, failures."""

import dataclasses
import json
from typing import Any

import pytest

from npdiff.cli import verify
from npdiff.laboratory import orders, runner
from npdiff.laboratory.equations import equations
from npdiff.laboratory.registry import checks

FEW = ("posterior-mean", "transition", "clipping")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restrict the command to three equations."""
    monkeypatch.setattr(
        verify, "select_equations", lambda words: runner.select_equations(words or FEW)
    )


def first_check(label: str) -> str:
    """The name of the first check of a label."""
    return runner.checks_of(label)[0].name


def test_one_equation_in_detail(npdiff: Any) -> None:
    result = npdiff("verify", "marginal", "--jobs", "1")
    assert result.code == 0
    for words in (
        r"      x_t = \alpha_t x_0 + \sigma_t \epsilon",
        "location   npdiff/process.py, line",
        "source     Ho et al. 2020, Eq. 4",
        "method     ",
        "residuals  ",
        "result     verified, worst ",
        "all verified",
    ):
        assert words in result.out


def test_equations_are_selected_by_label_file_and_check() -> None:
    assert [e.label for e in runner.select_equations(["posterior-mean"])] == ["posterior-mean"]
    assert {e.label for e in runner.select_equations(["posterior"])} >= {
        "posterior-mean",
        "posterior-variance",
    }
    assert {e.file for e in runner.select_equations(["samplers/_ddim.py"])} == {"samplers/_ddim.py"}
    name = first_check("marginal")
    assert "marginal" in {e.label for e in runner.select_equations([name])}
    # in the form that the output has
    ddim = runner.select_equations(["npdiff/samplers/_ddim.py"])
    assert ddim == runner.select_equations(["samplers/_ddim.py"])
    location = checks()[name].location
    assert "marginal" in {e.label for e in runner.select_equations([f"npdiff/{location}"])}
    assert len(runner.select_equations([])) == len(equations())


def test_unknown_equations_are_an_error(npdiff: Any) -> None:
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
        assert any(line.startswith(label) and line.endswith("verified") for line in lines)
    assert ("  method" in out) == (width >= 120)
    wide = npdiff("verify", "--jobs", "1", "--wide").out
    assert "npdiff/process.py".removeprefix("npdiff/") + ":posterior_mean" in wide
    assert "…" not in wide


@pytest.mark.usefixtures("few")
def test_json_has_every_check_and_its_residuals(npdiff: Any) -> None:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    result = npdiff("verify", "--json", "--cases", "3", "--seed", "5", "--jobs", "1")
    document = json.loads(result.out, parse_constant=no_constant)
    assert document["verified"]
    assert document["seed"] == 5
    assert [e["label"] for e in document["equations"]] == list(FEW)
    first = document["equations"][0]
    assert first["location"]["file"] == "npdiff/process.py"
    assert first["sources"][0].startswith("Ho et al. 2020")
    assert all(c["passed"] and c["worst"] <= c["tolerance"] for c in first["checks"])
    assert all(len(c["residuals"]) == c["cases"] == 3 for c in first["checks"])


def test_results_do_not_depend_on_the_number_of_processes(npdiff: Any) -> None:
    one, two = (
        json.loads(npdiff("verify", "--json", "--cases", 2, "--jobs", jobs, *FEW).out)["equations"]
        for jobs in (1, 2)
    )
    for equation in (*one, *two):
        for check in equation["checks"]:
            del check["seconds"]
    assert one == two


def test_a_failing_check_is_reported(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = first_check("slerp")
    strict = dataclasses.replace(checks()[name], tolerance=-1.0)
    monkeypatch.setitem(checks(), name, strict)
    result = npdiff("verify", "slerp", "--jobs", "1")
    assert result.code == 1
    assert "result     FAILED" in result.out
    assert "1 NOT VERIFIED: slerp" in result.out


@pytest.mark.usefixtures("few")
def test_a_check_that_raises_is_reported(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: object) -> float:
        raise ZeroDivisionError("on purpose")

    name = first_check("clipping")
    monkeypatch.setitem(checks(), name, dataclasses.replace(checks()[name], run=broken))
    result = npdiff("verify", "--jobs", "1")
    assert result.code == 1
    assert "FAILED" in result.out
    assert "raised an exception:\nTraceback" in result.out
    assert "ZeroDivisionError: on purpose" in result.out
    document = json.loads(npdiff("verify", "clipping", "--json", "--jobs", "1").out)
    assert "inf" in [check["worst"] for check in document["equations"][0]["checks"]]
    assert not document["verified"]


def test_an_equation_without_a_check_fails(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "checks_of", lambda label: ())
    result = npdiff("verify", "marginal", "--jobs", "1")
    assert result.code == 1
    assert "check      none: NOT VERIFIED" in result.out
    monkeypatch.setattr(verify, "select_equations", lambda words: runner.select_equations(FEW))
    assert npdiff("verify", "--jobs", "1").out.count("NO CHECK") == 3


def test_orders_are_measured_and_compared_with_the_claims(
    npdiff: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    found = json.loads(result.out)
    assert {one["passed"] for one in found} == {False}
    assert found[0]["slope"] == pytest.approx(1.0, abs=0.1)


def test_orders_of_selected_solvers(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {c.sampler for c in verify.claims(["order=3"])} >= {"unipc", "lms"}
    assert {c.sampler for c in verify.claims(["plms", "heun"])} == {"plms", "heun"}
    assert npdiff("verify", "--orders", "posterior").failed_with("posterior", "dpmpp-2s")
    found = orders.Convergence(orders.CLAIMS[0], "ve", (1, 2, 4), (1.0, 0.5, 0.25), (1, 2, 4))
    monkeypatch.setattr(verify, "measure", lambda c, problem: dataclasses.replace(found, claim=c))
    for width in (60, 80, 100):  # the options fit from 80 columns on
        monkeypatch.setenv("COLUMNS", str(width))
        out = npdiff("verify", "--orders", "unipc").out
        assert max(map(len, out.splitlines())) <= width
        assert ("…" not in out) == (width >= 80)
        assert "order=3 corrector=False" in out or width < 80


def test_a_tolerance_is_printed_with_all_its_digits() -> None:
    assert [verify.bound(x) for x in (1e-9, 0.15, 0.0, 7.0)] == [
        "1e-09", "1.5e-01", "0e+00", "7e+00",
    ]  # fmt: skip


def test_help_has_examples(npdiff: Any) -> None:
    assert "examples:\n  npdiff verify" in npdiff("verify", "--help").out
    assert npdiff("verify", "--cases", "0").failed_with("from 1 up")
