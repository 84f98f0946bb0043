"""The programs in `benchmarks/`, at sizes that take a second."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import scaling
from npdiff.bench import measure
from npdiff.bench.networks import BENCHMARK_NETWORKS, Network, workload
from npdiff.nn import Stage


@pytest.mark.parametrize("side", [16, 32, 64, 128])
def test_attention_is_at_8x8_for_every_resolution(side: int) -> None:
    """So that the curve has only the cost of more positions."""
    network = scaling.at_resolution(side)
    model = workload(network, 1).model
    halvings = sum(type(layer).__name__ == "Downsample" for layer in model.down)
    assert side >> halvings == 8
    attending = [layer for layer in model.down
                 if isinstance(layer, Stage) and layer.attention is not None]  # fmt: skip
    assert attending == list(model.down[-2:])
    if side == 32:
        assert network.model == {**BENCHMARK_NETWORKS["S"].model}


def test_each_curve_changes_one_property() -> None:
    for name, curve in scaling.curves(quick=False).items():
        at = [point[0] for point in curve.points]
        assert at == sorted(set(at))
        batches = {batch for _, _, batch in curve.points}
        assert (len(batches) > 1) == (name == "batch")
        quick = scaling.curves(quick=True)[name]
        assert quick.points == curve.points[:2]


@pytest.fixture
def tiny_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """One curve of two tiny points, in turns of one repetition."""
    block = Network("attention 4", (2, 2, 8), {"heads": 2}, attention=True)
    points = [(1, block, 1), (2, block, 2)]
    monkeypatch.setattr(
        scaling, "curves", lambda quick: {"attention": scaling.Curve("positions", points)}
    )
    monkeypatch.setattr(measure, "TRIES", 1)
    monkeypatch.setattr(scaling, "peak", lambda plan: {"square": 1e11})


@pytest.mark.usefixtures("tiny_curve")
def test_scaling_measures_saves_and_plots(tmp_path: Path, capsys: Any) -> None:
    file, picture = tmp_path / "scaling.json", tmp_path / "scaling.png"
    options = ["--quick", "--threads", "1", "--contender", "npdiff", "--no-memory"]
    assert scaling.main([*options, "--json", str(file)]) == 0
    out = capsys.readouterr().out
    assert "attention: positions" in out
    rows = json.loads(file.read_text())["curves"]["attention"]["rows"]
    assert [row["at"] for row in rows] == [1, 2]
    assert all(row["seconds"] > 0 for row in rows)
    assert scaling.main(["--from", str(file), "--plot", str(picture)]) == 0
    assert capsys.readouterr().out == out  # the saved figures give the same text
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_scaling_refuses_wrong_options(tmp_path: Path, capsys: Any) -> None:
    assert scaling.main(["--from", str(tmp_path / "nothing.json")]) == 2
    assert "nothing.json" in capsys.readouterr().err
    assert scaling.main(["--contender", "tensorflow"]) == 2
    assert "tensorflow" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        scaling.main(["--threads", "0"])
