"""`npdiff bench`: the table, the JSON, the profile, and refused options."""

import dataclasses
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from npdiff import acceleration
from npdiff.bench import contenders, measure
from npdiff.cli import bench, common, main, profile, verify
from npdiff.laboratory import runner
from npdiff.runtime.threads import thread_count

TINY = ("bench", "--network", "tiny", "--batch", "2", "--rounds", "1", "--threads", "1")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of one repetition that count even if disturbed."""
    monkeypatch.setattr(measure, "TRIES", 1)
    real = bench.run_session
    monkeypatch.setattr(
        bench, "run_session", lambda plan, tick: real(dataclasses.replace(plan, least=0.0), tick)
    )


@pytest.mark.usefixtures("short")
def test_the_table_and_the_json_file(npdiff: Any, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    result = npdiff(*TINY, "--contender", "npdiff", "--task", "train", "--json", file)
    assert result.code == 0, result.err
    heading, peak, _, titles, row, *_ = result.out.splitlines()
    assert "1 thread, float32" in heading
    assert peak.startswith("matrix product: ")
    assert titles.split() == [
        *("network", "batch", "task", "contender", "ms", "range", "images/s"),
        *("of", "peak", "memory", "ratio"),
    ]
    assert row.split()[:4] == ["tiny", "2", "train", "npdiff"]
    assert row.split()[-1] == "1.00"
    assert "below 1 npdiff is faster" in result.out
    facts = json.loads(file.read_text())
    (found,) = facts["rows"]
    assert found["contender"] == "npdiff"
    assert found["fastest"] <= found["seconds"] <= found["slowest"]
    assert found["images_per_second"] == pytest.approx(2 / found["seconds"])
    assert 0 < found["fraction"] < 1
    assert found["memory"] is None or found["memory"] > 0
    assert facts["gemm"]["peak"] == max(facts["gemm"]["square"], facts["gemm"]["blocks"])
    assert facts["machine"]["threads"] == 1
    assert "numpy" in facts["machine"]["versions"]


def facts_of(**changes: Any) -> dict[str, Any]:
    """The results of a session with npdiff and PyTorch."""
    row = measure.Measurement(
        "S", 32, "train", "npdiff", 0.25, 0.2, 0.3, 128.0, 1.125, 2.0**28, 1.0, 5
    )
    slow = dataclasses.replace(row, contender="torch", seconds=0.5, ratio=0.5, disturbed=2, again=7)
    failed = measure.Measurement("S", 32, "train", "torch-compile", error="out of memory")
    return {
        "machine": {"processor": "abacus", "threads": 2, "versions": {"numpy": "2"}},
        "gemm": {"square": 2e11, "peak": 2e11},
        "agreement": {"S": {"output": 3e-6, "gradients": 2e-5}},
        "rows": [dataclasses.asdict(r) for r in (row, slow, failed)],
        **changes,
    }


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_output_of_a_session(npdiff: Any, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(bench, "run_session", lambda plan, tick: facts_of())
    result = npdiff(*TINY)
    assert result.code == 1  # one has failed
    assert "abacus, 2 threads" in result.out
    assert "matrix product: 200 GFLOP/s" in result.out
    assert "S: npdiff and PyTorch differ by 3.0e-06 of the largest output, 2.0e-05" in result.out
    table = [line for line in result.out.splitlines() if line.startswith("S  ")]
    assert len(table) == 3
    assert max(map(len, table)) <= width
    assert "500*" in table[1]
    assert "256 MiB" in table[0]
    assert ("112%" in table[0]) == (width >= 80)
    assert "failed" in table[2]
    assert "S 32 train torch-compile: out of memory" in result.out
    assert "7 turns repeated" in result.out
    assert "* 2 turns counted although" in result.out


def test_disagreement_with_pytorch_is_a_failure(
    npdiff: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = facts_of()["rows"][:1]
    disagreeing = facts_of(rows=rows, agreement={"S": {"output": 0.1, "gradients": 1e-5}})
    monkeypatch.setattr(bench, "run_session", lambda plan, tick: disagreeing)
    result = npdiff(*TINY)
    assert result.code == 1
    assert "THEY DISAGREE" in result.out
    monkeypatch.setattr(bench, "run_session", lambda plan, tick: facts_of(rows=rows))
    assert npdiff(*TINY).code == 0
    nan = facts_of(rows=rows, agreement={"S": {"output": float("nan"), "gradients": 1e-5}})
    monkeypatch.setattr(bench, "run_session", lambda plan, tick: nan)
    assert npdiff(*TINY).code == 1


def test_options_choose_contenders_networks_and_batches(
    npdiff: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[measure.Plan] = []
    monkeypatch.setattr(bench, "run_session", lambda plan, tick: plans.append(plan) or facts_of())
    monkeypatch.setattr(contenders, "find_spec", lambda name: None)
    npdiff("bench")
    npdiff("bench", "--definitions-only", "--whole", "--no-memory", "--task", "sample")
    monkeypatch.setattr(contenders, "find_spec", lambda name: name)
    npdiff("bench", "--compile", "--network", "L", "--network", "M", "--batch", "7")
    short, whole, chosen = plans
    assert short.contenders == ["npdiff"]
    assert ([n.name for n in short.networks], short.batches) == (["S"], [32])
    assert short.tasks == ["train", "infer"]
    assert short.threads == thread_count()
    assert whole.contenders == ["npdiff", "npdiff-definitions"]
    assert ([n.name for n in whole.networks], whole.batches) == (
        ["S", "M", "L"], [1, 16, 32, 64, 128],
    )  # fmt: skip
    assert (whole.tasks, whole.memory) == (["sample"], False)
    assert chosen.contenders == [*contenders.DEFAULT_CONTENDERS, "torch-compile"]
    assert ([n.name for n in chosen.networks], chosen.batches) == (["L", "M"], [7])


def test_inconsistent_options_are_refused(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert npdiff("bench", "--network", "XL").failed_with("--network", "'S'")
    assert npdiff("bench", "--task", "dance").failed_with("--task", "sample")
    for option in ("--batch", "--rounds", "--threads"):
        assert npdiff("bench", option, "0").failed_with(option, "from 1 up")
    assert npdiff("bench", "--contender", "tensorflow").failed_with("tensorflow", "torch-compile")
    assert npdiff("bench", "--json", "figures.txt").failed_with(".json")
    assert npdiff("bench", "--profile", "--task", "infer").failed_with("--profile", "--task")
    monkeypatch.setattr(contenders, "find_spec", lambda name: None)
    assert npdiff("bench", "--contender", "torch").failed_with("PyTorch", "pip install torch")
    assert npdiff("bench", "--compile").failed_with("torch-compile", "not installed")
    monkeypatch.setattr(contenders, "find_spec", lambda name: name)
    for name in ("torch-tf32", "npdiff-tf32"):
        assert npdiff("bench", "--contender", name).failed_with(name, "--backend cupy")


def test_a_contender_that_does_not_start_is_an_error(
    npdiff: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(plan: object, tick: object) -> None:
        raise contenders.ContenderError("the process ended without a reply: status 3")

    monkeypatch.setattr(bench, "run_session", broken)
    assert npdiff(*TINY).failed_with("measuring failed", "status 3")


@pytest.mark.parametrize("definitions", [False, True])
def test_the_profile_of_a_step(
    npdiff: Any, tmp_path: Path, definitions: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "MIN_FRACTION", 0.0)  # a busy machine may shrink any fraction
    file = tmp_path / "profile.json"
    more = ["--definitions-only"] if definitions else []
    result = npdiff(*TINY, "--profile", "--json", file, *more)
    assert result.code == 0, result.err
    out = result.out
    assert out.startswith("tiny, batch 2: a training step takes ")
    lines = [line for line in out.splitlines() if line]
    layers = lines.index(next(line for line in lines if line.startswith("layer ")))
    assert lines[layers + 1].startswith("network ")
    assert any(line.startswith("  down.0 ") for line in lines)
    assert any(line.startswith("    res ") for line in lines)
    assert max(map(len, lines)) <= 100
    assert ("kernels." in out) != definitions
    (found,) = json.loads(file.read_text())["profiles"]
    assert found["batch"] == 2
    assert found["layers"]["stem"]["forward"] > 0
    assert any("conv" in name for name in found["functions"])


COMMANDS = {
    "sample": ("sample", "--steps", "1", "--count", "1", "--label", "7"),
    "train": ("train", "--resume"),
    "eval": ("eval", "--count", "10", "--steps", "1"),
    "edit": ("edit", "invert", "--index", "0", "--steps", "1"),
    "likelihood": ("likelihood", "--samples", "2", "--steps", "1"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_threads_and_definitions_only_apply_to_every_command(
    npdiff: Any, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """While the command runs, and not after it."""
    seen: list[tuple[int, bool]] = []

    def look(arguments: object) -> int:
        seen.append((thread_count(), not acceleration.kernels_allowed()))
        return 0

    monkeypatch.setattr(main.COMMANDS[command], "run", look)
    before = os.environ.get("NPDIFF_THREADS")
    assert npdiff(*COMMANDS[command], "--threads", "3", "--definitions-only").code == 0
    assert npdiff(*COMMANDS[command]).code == 0
    assert seen == [(3, True), (int(before or thread_count()), False)]
    assert os.environ.get("NPDIFF_THREADS") == before
    assert npdiff(*COMMANDS[command], "--threads", "0").failed_with("--threads", "from 1 up", "'0'")
    assert npdiff(*COMMANDS[command], "--threads", "two").failed_with("--threads", "from 1 up")


def test_the_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = bench.argparse.Namespace(threads=5)
    for before in ("2", None):
        if before is None:
            monkeypatch.delenv("NPDIFF_THREADS", raising=False)
        else:
            monkeypatch.setenv("NPDIFF_THREADS", before)
        with common.computing(arguments):
            assert os.environ["NPDIFF_THREADS"] == "5"
        assert os.environ.get("NPDIFF_THREADS") == before


def test_definitions_are_verified(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process and in those that it starts."""
    asked: list[bool] = []
    real = verify.run_checks

    def run_checks(*arguments: Any, **options: Any) -> Any:
        asked.append(options["definitions"])
        return real(*arguments, **options)

    monkeypatch.setattr(verify, "run_checks", run_checks)
    words = ("verify", "silu", "--cases", "2", "--jobs", "1", "--json")
    for more in ((), ("--definitions-only",)):
        result = npdiff(*words, *more)
        assert json.loads(result.out)["verified"]
    assert asked == [False, True]
    context = multiprocessing.get_context("spawn")
    for definitions in (False, True):
        with ProcessPoolExecutor(1, context, runner._quiet_worker, (definitions,)) as pool:
            allowed = pool.submit(acceleration.kernels_allowed).result()
        assert allowed is not definitions
