"""The command ``npdiff``: its commands, and how errors are printed."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NoReturn

import npdiff
from npdiff.cli import (
    bench,
    edit,
    errata,
    evaluate,
    golden,
    info,
    likelihood,
    sample,
    train,
    verify,
)
from npdiff.cli.common import Verbatim, computing, import_modules
from npdiff.errors import InputError, TrainingError
from npdiff.runtime.heap import keep_freed_memory
from npdiff.runtime.memory import explain_memory_errors

#: The commands by name.
COMMANDS = {
    "train": train,
    "sample": sample,
    "edit": edit,
    "eval": evaluate,
    "likelihood": likelihood,
    "info": info,
    "verify": verify,
    "golden": golden,
    "errata": errata,
    "bench": bench,
}

#: Exit statuses: invalid input; training failed or memory ran out; interrupted.
USAGE, FAILED, INTERRUPTED = 2, 1, 130

EPILOG = """\
examples:
  npdiff train --preset digits --out runs/digits    a model of handwritten digits in minutes
  npdiff sample --label 7 --guidance 3 --out sevens.png
  npdiff edit inpaint --index 0 --box 0 0 16 32     fill in the upper half of a digit
  npdiff eval runs/digits                           the quality of its samples and the best possible
  npdiff likelihood runs/digits                     bits per pixel of unseen digits
  npdiff info runs/digits                           its configuration and progress
  npdiff errata                                     errors in published formulas, and their size
  npdiff verify                                     check every equation of the textbook
  npdiff golden --out golden.json                   reference values for other implementations
  npdiff bench                                      speed on this machine, compared with PyTorch

`npdiff COMMAND --help` explains every option. NPDIFF_THREADS is the number of threads if --threads
is not given, NPDIFF_WORKSPACE the scratch memory that each thread may keep, in MiB (512)."""


class Parser(argparse.ArgumentParser):
    """An argument parser that prints an error as one line and refers to the help."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"npdiff: error: {message}; see `{self.prog} --help`\n")


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = Parser(
        prog="npdiff",
        description="Diffusion models from scratch: train, sample, edit, evaluate, verify.",
        epilog=EPILOG,
        formatter_class=Verbatim,
    )
    top.add_argument("--version", action="version", version=f"npdiff {npdiff.__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS.values():
        command.add(commands)
    return top


def enough_memory(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """A context manager that adds a general remedy to memory errors without one."""
    backend = getattr(arguments, "backend", None) or "numpy"
    return explain_memory_errors(backend, f"`{arguments.parser.prog}`", "less at a time")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        import_modules(words)
        arguments, unknown = parser().parse_known_args(words)
        if unknown:
            arguments.parser.error(f"unknown option or argument: {' '.join(unknown)}")
    except SystemExit as stop:  # --help, --version, or an option that argparse cannot read
        return stop.code if isinstance(stop.code, int) else USAGE
    except InputError as error:  # of --import
        return failure(error, "--debug" in words)
    keep_freed_memory()
    try:
        with computing(arguments), enough_memory(arguments):
            return arguments.run(arguments)
    except KeyboardInterrupt:
        print("npdiff: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe: `npdiff info | head -3`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (InputError, TrainingError, OSError, MemoryError) as error:
        return failure(error, arguments.debug)


def failure(error: Exception, debug: bool) -> int:
    """Print an error as one line, after its traceback with ``--debug``; the exit status."""
    if debug:
        traceback.print_exc()
    line = " ".join(str(error).split()) or type(error).__name__
    print(f"npdiff: error: {line}", file=sys.stderr)
    return FAILED if isinstance(error, TrainingError | MemoryError) else USAGE
