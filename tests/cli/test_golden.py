"""``npdiff golden``: writing, listing, and comparing right, wrong and partial files."""

import json
from pathlib import Path
from typing import Any

import pytest

from npdiff import __version__


def test_a_written_file_passes_and_a_changed_one_fails(npdiff: Any) -> None:
    result = npdiff("golden", "--out", "all.json")
    assert result.code == 0
    assert "problems" in result.out
    document = json.loads(Path("all.json").read_text(encoding="utf-8"))
    assert document["npdiff"] == __version__
    assert b"\r" not in Path("all.json").read_bytes()
    checked = npdiff("golden", "--check", "all.json", "--complete")
    assert checked.code == 0
    assert "0 wrong, 0 missing, 0 unknown; largest deviation of ok values 0.0e+00" in checked.out
    wrong = document["problems"]["sampler/ddim"]["values"]["x"]
    wrong[3][2] *= 1.0 + 1e-7
    Path("all.json").write_text(json.dumps(document), encoding="utf-8")
    checked = npdiff("golden", "--check", "all.json")
    assert checked.code == 1
    assert "sampler/ddim x  wrong" in checked.out
    assert "1.0e-07" in checked.out
    assert "at [3, 2]: found" in checked.out
    assert npdiff("golden", "--check", "all.json", "--tolerance", "1e-5").code == 0


@pytest.fixture
def linear(npdiff: Any) -> dict[str, Any]:
    """The problem of DDPM's linear betas, as printed."""
    problems: dict[str, Any] = json.loads(npdiff("golden", "schedule/linear").out)["problems"]
    assert list(problems) == ["schedule/linear"]
    return problems


def test_a_part_of_a_file_is_compared(npdiff: Any, linear: dict[str, Any]) -> None:
    values = linear["schedule/linear"]["values"]
    part = {"problems": {"schedule/linear": {"values": {"alpha_bar": values["alpha_bar"]}}}}
    Path("part.json").write_text(json.dumps(part), encoding="utf-8")
    result = npdiff("golden", "schedule/linear", "--check", "part.json")
    assert result.code == 0
    assert "missing (--complete lists them all): schedule/linear" in result.out
    assert "1 ok, 0 wrong, 3 missing, 0 unknown" in result.out
    result = npdiff("golden", "schedule/linear", "--check", "part.json", "--complete")
    assert result.code == 1
    assert "schedule/linear beta_tilde  missing" in result.out
    whole = npdiff("golden", "--check", "part.json")
    assert whole.code == 0
    assert "..." in whole.out


def test_unknown_names_fail(npdiff: Any, linear: dict[str, Any]) -> None:
    linear["schedule/linear"]["values"]["alphabar"] = [1.0]
    Path("mine.json").write_text(json.dumps({"problems": linear}), encoding="utf-8")
    result = npdiff("golden", "schedule/linear", "--check", "mine.json")
    assert result.code == 1
    assert "schedule/linear alphabar  unknown" in result.out


def test_a_file_without_right_values_fails(npdiff: Any) -> None:
    Path("empty.json").write_text('{"problems": {}}', encoding="utf-8")
    result = npdiff("golden", "weights", "--check", "empty.json")
    assert result.code == 1
    assert "no value is right" in result.out


def test_the_list_of_problems(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    out = npdiff("golden", "--list", "layer/").out
    assert all(len(line) <= 90 for line in out.splitlines())
    assert "layer/attention" in out
    assert (
        "beta, alpha_bar, log_snr, beta_tilde" in npdiff("golden", "--list", "schedule/cosine").out
    )


def test_invalid_arguments_are_rejected(npdiff: Any) -> None:
    assert npdiff("golden", "color").failed_with("'color'", "--list")
    assert npdiff("golden", "--check", "nowhere.json").failed_with("nowhere.json", "No such file")
    Path("bad.json").write_text("{", encoding="utf-8")
    assert npdiff("golden", "--check", "bad.json").failed_with("bad.json", "not JSON")
    Path("binary.json").write_bytes(b"\xff\xfe\x00")
    assert npdiff("golden", "--check", "binary.json").failed_with("binary.json", "not UTF-8 text")
    assert npdiff("golden", "--out", "golden.txt").failed_with(".json")
    assert npdiff("golden", "--check", "x", "--out", "y.json").failed_with("not allowed with")
    assert npdiff("golden", "--check", "x", "--tolerance", "0").failed_with("positive number")
