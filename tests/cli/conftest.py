"""A tiny run, trained once, and a fixture that calls commands in this process."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from npdiff.cli.main import main

TINY = (
    *("--set", 'model={"width": 8, "multipliers": [1], "blocks": 1, "attention": [], "heads": 2}'),
    *("--set", "sample_every=0", "--set", "shard=4", "--batch", "8"),
)


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Options of ``npdiff train`` that make a model small enough for tests."""
    return TINY


class Result(NamedTuple):
    """The exit status and the output of a command."""

    code: int
    out: str
    err: str

    def failed_with(self, *words: str) -> bool:
        """Whether it failed with status 2, one line without traceback, and these words in it."""
        assert self.code == 2, self
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("npdiff: error: ")
        return all(word in lines[0] for word in words)


Call = Callable[..., Result]


@pytest.fixture
def npdiff(capfd: pytest.CaptureFixture[str]) -> Call:
    """Run a command in this process."""

    def call(*words: object) -> Result:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return Result(code, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of three classes, 8 x 8, as an .npz file."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    pixels = rng.integers(0, 60, (60, 8, 8), dtype=np.uint8)
    pixels[np.arange(60), 2 * labels + 1] = 255  # a bright line, lower for a higher class
    path = tmp_path_factory.mktemp("data") / "lines.npz"
    np.savez(path, images=pixels, labels=labels, classes=np.array(["top", "middle", "low"]))
    return path


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    """A finished run of a tiny model."""
    path = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", "--data", str(images), "--out", str(path), "--steps", "12", *TINY]) == 0
    return path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in an empty folder, on one thread, in a terminal of 100 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NPDIFF_THREADS", os.environ.get("NPDIFF_THREADS", "1"))
