"""``npdiff info``: the facts as text and as JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

from npdiff.runs import load_model
from npdiff.tree import size


def test_the_json_of_a_run(npdiff: Any, tiny_run: Path) -> None:
    facts = json.loads(npdiff("info", tiny_run, "--json").out)
    assert (facts["kind"], facts["step"], facts["config"]["steps"]) == ("run", 12, 12)
    assert sum(facts["parameters"].values()) == size(load_model(tiny_run).model)
    assert facts["last"]["step"] == 12
    state = tiny_run / "state.safetensors"
    assert facts["files"]["state.safetensors"] == state.stat().st_size


def test_the_text_of_a_run(npdiff: Any, tiny_run: Path) -> None:
    out = npdiff("info", tiny_run).out
    for words in ("12 of 12 steps", "last loss 0.", "8 x 8 x 1", "top, middle, low", "middle"):
        assert words in out


def test_the_facts_about_a_model_file(npdiff: Any, tiny_run: Path) -> None:
    facts = json.loads(npdiff("info", tiny_run / "model.safetensors", "--json").out)
    assert (facts["kind"], facts["step"]) == ("model", 12)
    assert "files" not in facts
    assert "12 of 12" in npdiff("info", tiny_run / "model.safetensors").out


def test_a_run_before_its_first_checkpoint(npdiff: Any, tiny_run: Path) -> None:
    Path("young").mkdir()
    Path("young/config.json").write_bytes((tiny_run / "config.json").read_bytes())
    assert "0 of 12 steps" in npdiff("info", "young").out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", "{", ("config", "JSON")),
        ("config.json", '{"steps": "many"}', ("steps", "many")),
        ("metrics.jsonl", "nonsense\n", ("metrics.jsonl", "line 1")),
        ("state.safetensors", "short", ("state.safetensors",)),
    ],
)
def test_damaged_runs_are_reported(
    npdiff: Any, tiny_run: Path, name: str, content: str, words: tuple[str, ...]
) -> None:
    Path("run").mkdir()
    for file in ("config.json", "metrics.jsonl", "state.safetensors"):
        Path("run", file).write_bytes((tiny_run / file).read_bytes())
    Path("run", name).write_text(content)
    assert npdiff("info", "run").failed_with(*words)


def test_a_missing_path_is_reported(npdiff: Any) -> None:
    assert npdiff("info", "nowhere").failed_with("nowhere")
