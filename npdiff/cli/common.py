"""What the commands share: the options that all have, progress bars, paths checked before work."""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from npdiff.acceleration import definitions_only
from npdiff.backend import BACKENDS
from npdiff.errors import InputError


class Verbatim(argparse.RawDescriptionHelpFormatter):
    """Help texts are printed as they are written, and commands stand beside what they do."""

    def add_argument(self, action: argparse.Action) -> None:
        """Make room: the names of commands are indented further than argparse reckons."""
        super().add_argument(action)
        if action.nargs == argparse.PARSER:
            self._action_max_length += self._indent_increment


def command(
    commands: Any, name: str, about: str, details: str, *, within: bool = False
) -> argparse.ArgumentParser:
    """A new command with the options that every command has, or one ``within`` such a command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=f"{about[0].upper()}{about[1:]}.", epilog=details,
        formatter_class=Verbatim, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument(
        "--debug", action="store_true", help="after an error, show where it came from",
        default=argparse.SUPPRESS if within else False,  # or it would undo that of the outer one
    )  # fmt: skip
    parser.set_defaults(parser=parser)
    return parser


def add_seed(parser: argparse.ArgumentParser, about: str, default: int | None = 0) -> None:
    """The option ``--seed``."""
    parser.add_argument("--seed", type=whole(0), default=default, metavar="N", help=about)


def add_backend(parser: argparse.ArgumentParser, default: str | None = "numpy") -> None:
    """The option ``--backend``."""
    parser.add_argument(
        "--backend", choices=BACKENDS, default=default,
        help="where to compute: numpy is the CPU (default), cupy an NVIDIA GPU",
    )  # fmt: skip


def add_threads(parser: argparse.ArgumentParser) -> None:
    """The option ``--threads``."""
    parser.add_argument(
        "--threads", type=whole(1), metavar="N",
        help="threads to compute with (default: NPDIFF_THREADS, or one for each CPU); training "
        "comes out the same to the last bit, samples to rounding",
    )  # fmt: skip


def add_definitions_only(parser: argparse.ArgumentParser) -> None:
    """The option ``--definitions-only``."""
    parser.add_argument(
        "--definitions-only", action="store_true",
        help="compute every function as the textbook defines it, without the faster kernels",
    )  # fmt: skip


def add_computing(parser: argparse.ArgumentParser, backend: str | None = "numpy") -> None:
    """How to compute: ``--backend``, ``--threads`` and ``--definitions-only``."""
    add_backend(parser, backend)
    add_threads(parser)
    add_definitions_only(parser)


@contextmanager
def computing(arguments: argparse.Namespace) -> Iterator[None]:
    """Within this block, compute as ``--threads`` and ``--definitions-only`` say, if they do."""
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


def whole(least: int) -> Any:
    """A type of option: an integer from ``least`` up."""

    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"expected an integer from {least} up, got {text!r}")
        return value

    return integer


def counted(n: int, noun: str) -> str:
    """1 row, 2 rows."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def output(text: str, *endings: str) -> Path:
    """A path to write to, checked before hours of work rather than after them.

    Raises
    ------
    InputError
        If it has another ending, is a folder, or nothing can be written there.
    """
    path = Path(text)
    if endings and path.suffix.lower() not in endings:
        raise InputError(f"cannot write {path}: its name should end in {' or '.join(endings)}")
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder, name a file in it")
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # permissions do not tell: try it
            pass
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose another folder") from error
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"cannot write {path}: it is write-protected; choose another name")
    return path


def said(path: Path, what: str) -> None:
    """Report a file that was written."""
    print(f"{path}: {what}")
