"""``npdiff eval``: metrics and their floor."""

import json
from pathlib import Path
from typing import Any

import pytest

from npdiff import data
from npdiff.generation import Frame


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory, tiny: Any) -> Path:
    """A tiny model of the real digits after two steps."""
    from npdiff.cli.main import main

    path = tmp_path_factory.mktemp("runs") / "digits"
    patch = ("--set", "model.patch=4")
    assert main(["train", "--out", str(path), "--steps", "2", *tiny, *patch]) == 0
    return path


def test_the_metrics_of_samples_and_of_the_floor(npdiff: Any, digits_run: Path) -> None:
    options = ("--count", "60", "--steps", "2")
    facts = json.loads(npdiff("eval", digits_run, *options, "--json").out)
    samples, floor = facts["generated"], facts["floor"]
    assert (facts["count"], facts["steps"], facts["trained_steps"]) == (60, 2, 2)
    assert floor["accuracy"] > 0.95
    assert samples["accuracy"] < 0.5  # two steps do not make a model
    assert floor["frechet"] < 0.5 * samples["frechet"]
    assert abs(floor["kid"]) < 4 * floor["kid_error"] < samples["kid"]
    assert floor["recall"] > samples["recall"]
    printed = npdiff("eval", digits_run, *options).out
    for name in ("accuracy", "frechet", "kid", "precision", "recall"):
        assert f"\n{name:12}{samples[name]:>10.4g}{floor[name]:>10.4g}" in printed


def test_real_digits_have_the_metrics_of_the_floor(
    npdiff: Any, digits_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the samples are the test digits, the two columns are equal."""
    real = data.to_float(data.load("digits", "test").images[:50])

    def perfect(checkpoint: Any, labels: Any, indices: Any, *_: Any, **__: Any) -> list[Frame]:
        return [Frame(0.0, real[indices], real[indices])]

    monkeypatch.setattr("npdiff.metrics._checkpoint.sample_frames", perfect)
    facts = json.loads(npdiff("eval", digits_run, "--count", "50", "--json").out)
    for name, value in facts["floor"].items():
        assert facts["generated"][name] == pytest.approx(value, rel=1e-3, abs=1e-3)


def test_the_text_lists_the_sampling_options(npdiff: Any, digits_run: Path) -> None:
    options = ("--count", "10", "--steps", "1", "--rescale", "0.5", "--interval", "0.1", "4")
    assert (
        ", guidance 2, rescale 0.5, interval (0.1, 4.0), seed 0"
        in npdiff("eval", digits_run, *options).out
    )


def test_invalid_arguments_are_refused(npdiff: Any, tiny_run: Path, digits_run: Path) -> None:
    assert npdiff("eval", tiny_run).failed_with("digits", "lines.npz")
    assert npdiff("eval", digits_run, "--count", "3").failed_with("--count", "from 10 up")
    assert npdiff("eval", digits_run, "--count", "2000").failed_with("2000", "1000")
    assert npdiff("eval", digits_run, "--sampler", "x").failed_with("ddim")
    assert npdiff("eval", "nowhere").failed_with("nowhere")
