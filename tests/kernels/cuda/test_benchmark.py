"""The GPU benchmark, on the emulator."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import gpu, gpu_tasks
from npdiff import backend, tree
from npdiff.bench.networks import BENCHMARK_NETWORKS, Network, workload
from npdiff.verify import strict

ROOT = Path(__file__).parents[3]
TINY = Network("tiny", (8, 8, 1), {**BENCHMARK_NETWORKS["tiny"].model, "width": 16})


def command(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *arguments],
        capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120, check=False,
    )  # fmt: skip


def test_the_help_names_the_options():
    done = command("--help")
    assert done.returncode == 0
    for word in ("--convolutions", "--agreement", "below 1 npdiff is faster"):
        assert word in done.stdout


def test_without_a_gpu_the_exit_status_is_2(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert gpu.main([]) == 2
    output = capsys.readouterr()
    assert "there is no GPU to measure" in output.err
    assert "not installed" in output.err
    assert gpu.main(["--rounds", "0"]) == 2


class CuPy:
    """The stand-in, with the few other functions of CuPy that the benchmark uses."""

    __version__ = "0"

    def __init__(self):
        self.idle = 0
        self.cuda = SimpleNamespace(
            Device=lambda: SimpleNamespace(id=0, synchronize=self.synchronize),
            runtime=SimpleNamespace(getDeviceProperties=lambda _: {"name": b"none"}),
        )

    def synchronize(self):
        self.idle += 1

    def __getattr__(self, name):
        return getattr(strict.xp, name)


@pytest.fixture
def cupy(emulator, monkeypatch):
    there, real = CuPy(), backend.module
    for module in [m for name, m in sys.modules.items() if name.startswith(("npdiff", "bench"))]:
        if vars(module).get("module") is real:
            monkeypatch.setattr(module, "module", lambda _: there)
    monkeypatch.setattr(gpu, "BENCHMARK_NETWORKS", {"S": TINY})
    monkeypatch.setattr(gpu, "WARM_UPS", 0)
    monkeypatch.setattr(gpu_tasks, "STEPS", 1)
    monkeypatch.setattr("npdiff.bench.tasks.STEPS", 1)
    monkeypatch.setattr(gpu_tasks.importlib.util, "find_spec", lambda _: None)
    return there


def test_the_agreement_and_the_table_of_times(cupy, emulator, tmp_path, capsys):
    file = tmp_path / "gpu.json"
    arguments = ["--network", "S", "--batch", "2", "--rounds", "1", "--json", str(file)]
    assert gpu.main(arguments) == 0
    facts = json.loads(file.read_text())
    assert [row["ok"] for row in facts["agreement"]] == [True] * 3
    float32, tf32, float64 = (max(r["values"], r["gradients"]) for r in facts["agreement"])
    assert 0 < float64 < 1e-12 < float32 < 1e-5 < tf32  # each precision was used
    measured = {(r["task"], r["precision"], r["contender"]) for r in facts["rows"]}
    assert measured == {
        (task, precision, name)
        for task in ("train", "sample")
        for precision in ("float32", "tf32")
        for name in ("npdiff", "npdiff, graph")
    }
    assert all(row["seconds"] > 0 and row["ratio_default"] is None for row in facts["rows"])
    assert "npdiff, graph" in capsys.readouterr().out
    assert {"norm_silu", "winograd_input", "pad", "adamw", "keyed_normal"} <= set(emulator.log)
    assert cupy.idle > 0


def test_results_that_disagree_are_a_failure(cupy, emulator, monkeypatch, capsys):
    monkeypatch.setitem(gpu.ALLOWED, "float32", 1e-9)
    assert gpu.main(["--network", "S", "--agreement"]) == 1
    assert "not rounding" in capsys.readouterr().out


def test_convolutions_are_timed_with_every_algorithm(cupy, emulator):
    found = gpu_tasks.algorithms(cupy, (1, 4, 4, 16), 16, "float16")
    assert list(found)[::2] == ["winograd", "shifted", "definition"]
    seen = []
    for run in found.values():
        emulator.log.clear()
        run()
        seen.append(len(emulator.log))
    assert seen[4:] == [0, 0]  # the definition
    assert 0 < seen[0] < seen[1]
    assert 0 < seen[2] < seen[3]


def test_training_as_a_graph_reduces_the_loss(cupy, emulator):
    """On one batch with fixed noise; sampling does not change the weights."""
    work = workload(TINY, 2, backend="cupy")
    graphed = gpu_tasks.Graphed(work, cupy)
    losses = []
    for _ in range(5):
        graphed.step = 0
        graphed.run("train")
        losses.append(float(graphed.loss.get()))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]
    before = graphed.sampling.x.get()
    graphed.run("sample")
    after = graphed.sampling.x.get()
    assert np.isfinite(after).all()
    assert not np.array_equal(before, after)
    for leaf, given in zip(
        tree.leaves(graphed.sampling.model), tree.leaves(work.model), strict=True
    ):
        np.testing.assert_array_equal(leaf.get(), given)
