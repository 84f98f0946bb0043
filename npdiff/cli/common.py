"""Shared by the commands: common options, values of options, checks of paths before work."""

import argparse
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from npdiff.acceleration import definitions_only
from npdiff.backend import BACKENDS
from npdiff.errors import InputError


class Verbatim(argparse.RawDescriptionHelpFormatter):
    """A formatter that keeps line breaks and puts each command and its help on one line."""

    def add_argument(self, action: argparse.Action) -> None:
        """Widen the column: the names of commands are indented further than argparse assumes."""
        super().add_argument(action)
        if action.nargs == argparse.PARSER:
            self._action_max_length += self._indent_increment


def command(
    commands: Any, name: str, about: str, details: str, *, within: bool = False
) -> argparse.ArgumentParser:
    """A command with the options common to all; ``within`` marks a command inside another one."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=f"{about[0].upper()}{about[1:]}.", epilog=details,
        formatter_class=Verbatim, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument(
        "--debug", action="store_true", help="after an error, show the traceback",
        default=argparse.SUPPRESS if within else False,  # else it would reset the outer option
    )  # fmt: skip
    parser.add_argument(
        "--import", action="append", metavar="MODULE", dest="modules", default=argparse.SUPPRESS,
        help="import this Python module first, from this folder or the Python path, so that the "
        "names it registers (samplers, schedules, ...) can be used",
    )  # fmt: skip
    parser.set_defaults(parser=parser)
    return parser


def import_modules(words: Sequence[str]) -> None:
    """Import the modules that ``--import`` names, before the options are declared.

    Raises
    ------
    InputError
        If a module does not exist or cannot be imported.
    """
    names = [after for word, after in pairwise(words) if word == "--import"]
    names += [word.partition("=")[2] for word in words if word.startswith("--import=")]
    for name in names:
        path = Path(name)
        folder = str((path.parent if path.suffix == ".py" else Path()).resolve())
        if folder not in sys.path:
            sys.path.insert(0, folder)
        module = path.stem if path.suffix == ".py" else name
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever the module raises
            if isinstance(error, ModuleNotFoundError) and error.name == module:
                raise InputError(
                    f"--import {name}: there is no module {module!r} in this folder or on the "
                    "Python path"
                ) from error
            raise InputError(f"--import {name}: {type(error).__name__}: {error}") from error


def part(text: str) -> Any:
    """The value of an option that takes a name, or a name with options as JSON."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'expected a name, or JSON such as \'{{"name": "karras", "rho": 5}}\', got {text!r}'
        ) from None


def add_seed(parser: argparse.ArgumentParser, about: str, default: int | None = 0) -> None:
    """The option ``--seed``."""
    parser.add_argument(
        "--seed", type=integer_at_least(0), default=default, metavar="N", help=about
    )  # fmt: skip


def add_backend(parser: argparse.ArgumentParser, default: str | None = "numpy") -> None:
    """The option ``--backend``."""
    parser.add_argument(
        "--backend", choices=BACKENDS, default=default,
        help="the device: numpy is the CPU (default), cupy an NVIDIA GPU",
    )  # fmt: skip


def add_threads(parser: argparse.ArgumentParser) -> None:
    """The option ``--threads``."""
    parser.add_argument(
        "--threads", type=integer_at_least(1), metavar="N",
        help="number of threads (default: NPDIFF_THREADS, or one per CPU); it changes no bit of "
        "a training run, and samples by rounding only",
    )  # fmt: skip


def add_definitions_only(parser: argparse.ArgumentParser) -> None:
    """The option ``--definitions-only``."""
    parser.add_argument(
        "--definitions-only", action="store_true",
        help="compute every function by its definition, without the faster kernels",
    )  # fmt: skip


def add_computing(parser: argparse.ArgumentParser, backend: str | None = "numpy") -> None:
    """The options ``--backend``, ``--threads`` and ``--definitions-only``."""
    add_backend(parser, backend)
    add_threads(parser)
    add_definitions_only(parser)


@contextmanager
def computing(arguments: argparse.Namespace) -> Iterator[None]:
    """A block with the effect of ``--threads`` and ``--definitions-only``."""
    with ExitStack() as stack:
        threads = getattr(arguments, "threads", None)
        if threads is not None:
            stack.callback(_restore_environment, "NPDIFF_THREADS", os.environ.get("NPDIFF_THREADS"))
            os.environ["NPDIFF_THREADS"] = str(threads)
        if getattr(arguments, "definitions_only", False):
            stack.enter_context(definitions_only())
        yield


def _restore_environment(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def integer_at_least(least: int) -> Any:
    """The type of an option: an integer from ``least`` up."""

    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"expected an integer from {least} up, got {text!r}")
        return value

    return integer


def pluralize(n: int, noun: str) -> str:
    """A number with its noun: 1 row, 2 rows."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def output_path(text: str, *endings: str) -> Path:
    """The path of a file to write, checked before the work begins.

    Raises
    ------
    InputError
        If it has another ending, is a folder, or cannot be written.
    """
    path = Path(text)
    if endings and path.suffix.lower() not in endings:
        raise InputError(f"cannot write {path}: its name should end in {' or '.join(endings)}")
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder, name a file in it")
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # permission bits are not reliable: try it
            pass
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose another folder") from error
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"cannot write {path}: it is write-protected; choose another name")
    return path


def report_file(path: Path, what: str) -> None:
    """Print the name of a written file and its contents."""
    print(f"{path}: {what}")
