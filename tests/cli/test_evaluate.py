"""``npdiff eval``: numbers beside their floor."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npdiff import data
from npdiff.cli.evaluate import judged
from npdiff.metrics.classifier import DigitClassifier


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory, tiny: Any) -> Path:
    """A tiny model of the real digits, hardly trained."""
    from npdiff.cli.main import main

    path = tmp_path_factory.mktemp("runs") / "digits"
    patch = ("--set", "model.patch=4")
    assert main(["train", "--out", str(path), "--steps", "2", *tiny, *patch]) == 0
    return path


def test_numbers_and_their_floor(npdiff: Any, digits_run: Path) -> None:
    options = ("--count", "60", "--steps", "2")
    facts = json.loads(npdiff("eval", digits_run, *options, "--json").out)
    samples, real = facts["samples"], facts["real"]
    assert (facts["count"], facts["reference"], facts["trained_steps"]) == (60, 1000, 2)
    assert real["accuracy"] > 0.95
    assert samples["accuracy"] < 0.5  # two steps do not make a model
    assert real["frechet"] < 0.5 * samples["frechet"]
    assert abs(real["kernel"]) < 4 * real["kernel_error"] < samples["kernel"]
    assert real["recall"] > samples["recall"]
    again = npdiff("eval", digits_run, *options).out
    assert f"{samples['frechet']:.4f}" in again
    assert f"{real['precision']:.4f}" in again


def test_judged_on_digits_with_wrong_labels() -> None:
    """Half of the labels wrong: the accuracy falls by half and nothing else moves."""
    test = data.load("digits", "test")
    images, labels = test.images[:40], test.labels[:40]
    judge = DigitClassifier.shipped()
    reference = judge.features(test.images[100:300])
    wrong = np.where(np.arange(40) % 2, labels, (labels + 1) % 10)
    right, half = (judged(judge, images, given, reference) for given in (labels, wrong))
    assert right.pop("accuracy") == pytest.approx(2 * half.pop("accuracy"), abs=0.1)
    assert right == half


def test_what_it_refuses(npdiff: Any, tiny_run: Path, digits_run: Path) -> None:
    assert npdiff("eval", tiny_run).failed_with("digits", "lines.npz")
    assert npdiff("eval", digits_run, "--count", "3").failed_with("--count", "from 10 up")
    assert npdiff("eval", digits_run, "--count", "2000").failed_with("2000", "1000")
    assert npdiff("eval", digits_run, "--sampler", "x").failed_with("ddim")
    assert npdiff("eval", "nowhere").failed_with("nowhere")
