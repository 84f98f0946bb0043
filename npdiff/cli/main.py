"""The command ``npdiff``: which commands there are, and what becomes of an error."""

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
from npdiff.cli.common import Verbatim, computing
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

#: Exit statuses: what was given cannot be used; training failed, or memory ran out; interrupted.
USAGE, FAILED, INTERRUPTED = 2, 1, 130

EPILOG = """\
examples:
  npdiff train --preset digits --out runs/digits    a model of handwritten digits in minutes
  npdiff sample --label 7 --guidance 3 --out sevens.png
  npdiff edit inpaint --index 0 --box 0 0 16 32     the upper half of a digit, painted anew
  npdiff eval runs/digits                           how good its samples are, beside the floor
  npdiff likelihood runs/digits                     bits for each pixel of an unseen digit
  npdiff info runs/digits                           what it is and how far it got
  npdiff errata                                     formulas that are wrong, and how wrong
  npdiff verify                                     prove every equation it is made of
  npdiff golden --out golden.json                   reference values to port against
  npdiff bench                                      how fast it is here, beside PyTorch if installed

`npdiff COMMAND --help` explains every option. NPDIFF_THREADS is the number of threads where
--threads is not given, NPDIFF_WORKSPACE the MiB of scratch that each may keep (512)."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line that names the way out."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"npdiff: error: {message}; see `{self.prog} --help`\n")


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = Parser(
        prog="npdiff",
        description="Diffusion models from scratch: train one, sample from it, judge it.",
        epilog=EPILOG,
        formatter_class=Verbatim,
    )
    top.add_argument("--version", action="version", version=f"npdiff {npdiff.__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS.values():
        command.add(commands)
    return top


def enough_memory(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """Where memory runs out and nobody further in says what to do."""
    backend = getattr(arguments, "backend", None) or "numpy"
    return explain_memory_errors(backend, f"`{arguments.parser.prog}`", "less at a time")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    try:
        arguments, unknown = parser().parse_known_args(argv)
        if unknown:
            arguments.parser.error(f"unknown option or argument: {' '.join(unknown)}")
    except SystemExit as stop:  # --help, --version, or an option that argparse cannot read
        return stop.code if isinstance(stop.code, int) else USAGE
    keep_freed_memory()
    try:
        with computing(arguments), enough_memory(arguments):
            return arguments.run(arguments)
    except KeyboardInterrupt:
        print("npdiff: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # what reads our output has seen enough: `npdiff info | head -3`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (InputError, TrainingError, OSError, MemoryError) as error:
        if arguments.debug:
            traceback.print_exc()
        line = " ".join(str(error).split()) or type(error).__name__
        print(f"npdiff: error: {line}", file=sys.stderr)
        return FAILED if isinstance(error, TrainingError | MemoryError) else USAGE
