"""The command line: help, version, errors, exit statuses."""

import os
import re
import subprocess
import sys
from typing import Any

import pytest

from npdiff.cli import info
from npdiff.cli.main import COMMANDS
from npdiff.errors import TrainingError


def test_help_names_every_command(npdiff: Any) -> None:
    result = npdiff("--help")
    assert result.code == 0
    width = max(map(len, COMMANDS))
    for name in COMMANDS:  # next to their help, in a column
        assert re.search(rf"^    {name:{width}}  \w", result.out, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_examples(npdiff: Any, command: str) -> None:
    result = npdiff(command, "--help")
    assert result.code == 0
    assert "examples:\n  npdiff " + command in result.out
    assert "--debug" in result.out


def test_version_is_printed(npdiff: Any) -> None:
    result = npdiff("--version")
    assert result.code == 0
    assert result.out.startswith("npdiff ")


def test_unknown_command_and_option_are_errors(npdiff: Any) -> None:
    assert npdiff("draw").failed_with("draw", "train")
    assert npdiff("sample", "--color").failed_with("--color", "npdiff sample --help")
    assert npdiff("sample", "--steps", "many").failed_with("--steps", "from 1 up", "many")
    assert npdiff("sample", "--seed", "-1").failed_with("--seed", "from 0 up")
    assert npdiff().failed_with("COMMAND")


@pytest.mark.parametrize(
    ("error", "code"),
    [(OSError(28, "No space left on device"), 2), (TrainingError("not finite"), 1)],
)
def test_errors_are_printed_as_one_line(
    npdiff: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def broken(path: object) -> None:
        raise error

    monkeypatch.setattr(info, "facts_about", broken)
    result = npdiff("info")
    assert result.code == code
    assert result.err == f"npdiff: error: {error}\n"
    assert "Traceback" in npdiff("info", "--debug").err


def test_a_memory_error_has_status_1_and_a_remedy(
    npdiff: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(path: object) -> None:
        raise MemoryError("Unable to allocate 8.00 PiB")

    monkeypatch.setattr(info, "facts_about", short)
    said = "memory ran out during `npdiff info` (Unable to allocate 8.00 PiB): try less at a time"
    assert npdiff("info") == (1, "", f"npdiff: error: {said}\n")


def test_an_interruption_has_status_130(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "facts_about", interrupted)
    assert npdiff("info") == (130, "", "npdiff: interrupted\n")


def test_other_exceptions_are_not_caught(npdiff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def buggy(path: object) -> None:
        raise IndexError("a mistake in npdiff")

    monkeypatch.setattr(info, "facts_about", buggy)
    with pytest.raises(IndexError):
        npdiff("info")


def test_python_m_npdiff() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "npdiff", "info", "nowhere"],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("npdiff: error: ")
    assert len(done.stderr.splitlines()) == 1
