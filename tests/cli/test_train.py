"""``npdiff train``: the files of a run, resuming, invalid arguments."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npdiff.runs import load_model
from npdiff.training import Progress, _fit, loop
from npdiff.tree import leaves


def weights(path: Path) -> list[np.ndarray]:
    return leaves(load_model(path).model)


def test_the_files_of_a_run(tiny_run: Path) -> None:
    from PIL import Image

    assert {file.name for file in tiny_run.iterdir()} == {
        *("config.json", "state.safetensors", "metrics.jsonl", "model.safetensors"),
        *("samples.png", "noising.png", "denoising.png", "denoising.html", "loss.png"),
    }
    lines = (tiny_run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 13))
    samples = np.asarray(Image.open(tiny_run / "samples.png"))
    assert samples.shape == (3 * (16 + 2) + 2, 8 * (16 + 2) + 2)  # one row per class, eight columns
    assert samples.std() > 10
    noising = np.asarray(Image.open(tiny_run / "noising.png"), dtype=float)
    assert noising.shape[1] > 9 * 3 * 8  # nine moments of 24 pixels


def test_the_loss_decreases(npdiff: Any, tiny: Any, images: Path, tmp_path: Path) -> None:
    options = ("--data", images, "--steps", "60", "--batch", "16", *tiny, "--set", "ema=0.5")
    assert npdiff("train", "--out", "run", *options, "--set", "learning_rate=0.01").code == 0
    lines = Path("run/metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_an_interrupted_and_resumed_run_equals_an_uninterrupted_one(
    npdiff: Any, tiny: Any, images: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after the fifth step: status 130, a checkpoint, and the same weights in the end."""
    genuine = _fit.train

    def interrupted(*arguments: Any, **options: Any) -> Iterator[Progress]:
        steps = genuine(*arguments, **options)
        try:
            for progress in steps:
                yield progress
                if progress.step == 5:
                    raise KeyboardInterrupt
        finally:
            steps.close()  # type: ignore[attr-defined]

    options = ("--data", images, "--steps", "12", *tiny)
    monkeypatch.setattr(_fit, "train", interrupted)
    result = npdiff("train", "--out", "run", *options)
    assert result.code == 130
    assert "after step 5, which is saved" in result.err
    assert "npdiff train --out run --resume" in result.err
    monkeypatch.setattr(_fit, "train", genuine)
    assert npdiff("info", "run", "--json").code == 0
    assert npdiff("train", "--out", "run", "--resume").code == 0
    for ours, theirs in zip(weights(Path("run")), weights(tiny_run), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_memory_error_names_the_remedy(
    npdiff: Any, tiny: Any, images: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the sixth step: status 1, one line, and the five steps before are saved."""
    apply_gradient, calls = loop.apply_gradient, []

    def short(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:
            np.empty((2**20, 2**30))
        return apply_gradient(*arguments)

    monkeypatch.setattr(loop, "apply_gradient", short)
    result = npdiff("train", "--out", "run", "--data", images, "--steps", "12", *tiny)
    assert result.code == 1
    line = result.err.splitlines()[-1]
    assert line.startswith("npdiff: error: memory ran out during training on batches of 8, 4 at a ")
    for words in (
        "Unable to allocate 8.00 PiB",
        "--set shard=",
        "model.gradient_checkpointing=true",
        "run",
    ):
        assert words in line
    monkeypatch.setattr(loop, "apply_gradient", apply_gradient)
    assert json.loads(npdiff("info", "run", "--json").out)["step"] == 5
    assert npdiff("train", "--out", "run", "--resume").code == 0
    for ours, theirs in zip(weights(Path("run")), weights(tiny_run), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_saves_the_run(tiny: Any, images: Path, tmp_path: Path) -> None:
    """The real signal, in a separate process."""
    words = ("train", "--data", str(images), "--out", "run", "--steps", "100000", *tiny)
    process = subprocess.Popen(
        [sys.executable, "-m", "npdiff", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (metrics.is_file() and metrics.stat().st_size):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "which is saved; continue with: npdiff train --out run --resume" in err
    assert "Traceback" not in err
    assert load_model(tmp_path / "run").step == len(metrics.read_text().splitlines())


def test_a_finished_run_is_not_changed(npdiff: Any, tiny_run: Path) -> None:
    before = (tiny_run / "state.safetensors").read_bytes()
    result = npdiff("train", "--out", tiny_run, "--resume")
    assert result.code == 0
    assert "has finished: 12 steps" in result.out
    assert (tiny_run / "state.safetensors").read_bytes() == before


def test_missing_figures_are_drawn_again(npdiff: Any, tiny_run: Path) -> None:
    picture = (tiny_run / "samples.png").read_bytes()
    (tiny_run / "samples.png").unlink()
    assert npdiff("train", "--out", tiny_run, "--resume").code == 0
    assert (tiny_run / "samples.png").read_bytes() == picture


def test_every_option_reaches_the_configuration(npdiff: Any, tiny: Any, images: Path) -> None:
    options = ("--steps", "2", "--seed", "9", "--set", "prediction=eps", "--set", "ema=0.25", *tiny)
    assert npdiff("train", "--data", images, "--out", "run", *options, "--batch", "5").code == 0
    config = json.loads(Path("run/config.json").read_text())
    assert (config["steps"], config["batch"], config["seed"]) == (2, 5, 9)
    assert (config["prediction"], config["ema"], config["model"]["width"]) == ("eps", 0.25, 8)
    assert config["classes"] == ["top", "middle", "low"]


def test_training_on_a_folder_of_images(npdiff: Any, tiny: Any, tmp_path: Path) -> None:
    from PIL import Image

    for i, name in enumerate(("dark", "light")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for j in range(8):
            Image.new("RGB", (20 + j, 30), (90 * i, 60, 40)).save(
                tmp_path / "photos" / name / f"{j}.png"
            )
    options = ("--steps", "2", "--size", "8", *tiny)
    assert npdiff("train", "--data", "photos", "--out", "run", *options).code == 0
    config = json.loads(Path("run/config.json").read_text())
    assert (config["shape"], config["classes"]) == ([8, 8, 3], ["dark", "light"])
    assert npdiff("sample", "run", "--label", "light", "--steps", "2").code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--preset", "faces"), ("faces", "digits")),
        (("--data", "nowhere"), ("nowhere", "expected")),
        (("--steps", "0"), ("--steps", "from 1 up")),
        (("--set", "color=1"), ("color", "learning_rate")),
        (("--set", "ema=2"), ("ema", "2.0 or 2")),
        (("--set", "ema"), ("KEY=VALUE",)),
        (("--set", "prediction=noise"), ("prediction", "eps", "noise")),
        (("--set", "model.color=1"), ("color", "width")),
        (("--set", "data.width=1"), ("data.width",)),
        (("--size", "8"), ("--size", "--data")),
        (("--out", "file/run"), ("file",)),
        (("--out", "full"), ("full", "not empty", "--resume")),
    ],
)
def test_invalid_arguments_are_refused(
    npdiff: Any, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    Path("file").write_text("in the way")
    Path("full").mkdir()
    Path("full/letter.txt").write_text("somebody's")
    words = tuple(word.split(" or ")[-1] for word in words)
    assert npdiff("train", "--out", "run", *options).failed_with(*words)
    assert not Path("run").exists()


def test_a_resumed_run_cannot_change_its_batch(npdiff: Any, tiny_run: Path) -> None:
    result = npdiff("train", "--out", tiny_run, "--resume", "--batch", "9")
    assert result.failed_with("batch", "8", "9")
