"""start.py: which environments it reuses, which it replaces, and its error messages."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

START = Path(__file__).parents[1] / "start.py"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """start.py as a module, in an empty project."""
    spec = importlib.util.spec_from_file_location("start", START)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "npdiff"\n')
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    return module


class Machine:
    """Replaces real commands: creates files instead of environments and records the calls."""

    def __init__(self, start: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.start, self.calls = start, list[list[str]]()
        self.fails: Callable[[list[str]], int] = lambda words: 0
        self.installed = False
        monkeypatch.setattr(start, "call", self.call)
        monkeypatch.setattr(start, "works", self.works)

    def call(self, *command: object, **environment: str) -> int:
        words = [str(word) for word in command]
        if status := self.fails(words):
            return status
        self.calls.append(words)
        if "venv" in words:
            self.start.python().parent.mkdir(parents=True)
            self.start.python().write_text("")
            self.installed = False
        self.installed |= "install" in words
        return 0

    def works(self, code: str) -> bool:
        return self.start.python().exists() and (self.installed or "npdiff" not in code)

    def made(self) -> str:
        """The actions since the last call: v for a new environment, i for an installation."""
        done = "".join("v" * ("venv" in words) + "i" * ("install" in words) for words in self.calls)
        self.calls.clear()
        return done


@pytest.fixture
def machine(start: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(start, monkeypatch)


def test_environment_is_created_once_and_reused(start: ModuleType, machine: Machine) -> None:
    assert start.environment() == start.python()
    assert machine.made() == "vi"
    start.environment()
    assert machine.made() == ""


def test_extras_are_added_and_kept(start: ModuleType, machine: Machine) -> None:
    start.environment()
    machine.made()
    start.environment("test")
    assert machine.calls[-1][-1] == ".[test]"
    assert machine.made() == "i"
    start.environment()
    assert machine.made() == ""
    (start.ROOT / "pyproject.toml").write_text("changed")
    start.environment()
    assert machine.calls[-1][-1] == ".[test]"
    assert machine.made() == "i"


@pytest.mark.parametrize("step", ["venv", "install"])
@pytest.mark.parametrize("how", [3, KeyboardInterrupt])
def test_incomplete_environment_is_replaced(
    start: ModuleType, machine: Machine, step: str, how: int | type[BaseException]
) -> None:
    """An environment whose creation or installation was interrupted is never used."""

    def fails(words: list[str]) -> int:
        if step not in words:
            return 0
        start.python().parent.mkdir(parents=True, exist_ok=True)
        start.python().write_text("half")
        if isinstance(how, int):
            return how
        raise how

    machine.fails = fails
    with pytest.raises((start.StartError, KeyboardInterrupt)):
        start.environment()
    assert (start.VENV).exists()
    machine.fails = lambda words: 0
    machine.installed = True  # even if it seems to work
    machine.made()
    start.environment()
    assert machine.made() == "vi"


@pytest.mark.parametrize("stamp", ["", "[]", '{"project": 3}', "\0"])
def test_invalid_stamp_causes_an_installation(
    start: ModuleType, machine: Machine, stamp: str
) -> None:
    start.environment()
    machine.made()
    start.stamp().write_text(stamp)
    start.environment()
    assert machine.made() == "i"


def test_broken_interpreter_is_replaced(start: ModuleType, machine: Machine) -> None:
    start.environment()
    machine.made()
    start.python().unlink()
    start.environment()
    assert machine.made() == "vi"


def test_existing_environment_without_a_stamp_is_kept(start: ModuleType, machine: Machine) -> None:
    start.python().parent.mkdir(parents=True)
    start.python().write_text("")
    (start.VENV / "notes.txt").write_text("mine")
    start.environment()
    assert machine.made() == "i"
    assert (start.VENV / "notes.txt").exists()


def test_moved_project_is_installed_again(
    start: ModuleType, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start.environment()
    machine.made()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("pyproject.toml", ".venv"):
        (tmp_path / name).rename(moved / name)
    monkeypatch.setattr(start, "ROOT", moved)
    monkeypatch.setattr(start, "VENV", moved / ".venv")
    start.environment()
    assert machine.made() == "i"


def test_missing_venv_module_names_the_package_to_install(
    start: ModuleType, machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    assert start.main(["test"]) == 1
    assert "apt install python3-venv" in capsys.readouterr().err
    assert not start.VENV.exists()


def test_failed_installation_mentions_the_network(
    start: ModuleType, machine: Machine, capsys: Any
) -> None:
    machine.fails = lambda words: int("install" in words)
    assert start.main(["digits"]) == 1
    assert "network" in capsys.readouterr().err


def test_digits_resumes_training_and_evaluates(start: ModuleType, machine: Machine) -> None:
    assert start.main(["digits", "--steps", "9"]) == 0
    train, evaluate = ([*words[1:]] for words in machine.calls[-2:])
    assert train == [
        *("-m", "npdiff", "train", "--preset", "digits"),
        *("--out", str(start.RUN), "--resume", "--steps", "9"),
    ]
    assert evaluate == ["-m", "npdiff", "eval", str(start.RUN)]
    machine.made()
    machine.fails = lambda words: 130 * ("train" in words)
    assert start.main(["digits"]) == 130
    assert machine.calls == []  # an unfinished model is not evaluated


def test_exit_status_is_that_of_pytest(start: ModuleType, machine: Machine) -> None:
    machine.fails = lambda words: 5 * ("pytest" in words)
    assert start.main(["test"]) == 5
    machine.fails = lambda words: 0
    assert start.main(["test", "-k", "conv"]) == 0
    assert machine.calls[-1][1:] == ["-m", "pytest", "-n", "2", "-k", "conv"]


def test_call_passes_on_status_and_environment(start: ModuleType) -> None:
    script = "import os, sys; sys.exit(int(os.environ['STATUS']))"
    assert start.call(sys.executable, "-c", script, STATUS="7") == 7
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert start.call(sys.executable, "-c", killed) == 128 + 15


@pytest.mark.parametrize(("words", "status"), [(["--help"], 0), ([], 2), (["paint"], 2)])
def test_script_prints_help_and_errors(words: list[str], status: int) -> None:
    done = subprocess.run(
        [sys.executable, START, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == status
    assert "digits" in done.stdout + done.stderr


def test_old_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    with pytest.raises(SystemExit, match=r"3\.11 or newer"):
        exec(compile(START.read_text(), str(START), "exec"), {"__file__": str(START)})
