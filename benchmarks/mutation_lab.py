"""Run mutants against the checks, each in a forked process, until a check fails.

A change inside a function replaces the code of the loaded function. A change of code that runs on
import (a constant, a default, a table) imports the whole package again. Since every mutant has its
process, nothing that a check caches is carried from mutant to mutant.
"""

import ast
import contextlib
import gc
import importlib
import importlib.abc
import importlib.util
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from benchmarks.mutations import Mutant

PACKAGE = Path(__file__).parents[1] / "npdiff"
#: Time limit: this many times the processor time without a change, plus seconds.
PATIENCE, GRACE = 4.0, 5.0
MEMORY = 6 * 2**30
CAUGHT, SURVIVED, TIMED_OUT = 10, 11, 12


@dataclass
class Reach:
    """Processor time and executed lines of every check, without a change."""

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, set[tuple[str, int]]] = field(default_factory=dict)

    def of(self, mutant: Mutant) -> list[str]:
        """The checks that run the changed statement, else any line of its file, fastest first."""
        file = str(mutant.path)
        here = {(file, line) for line in mutant.lines}
        names = [name for name, lines in self.lines.items() if lines & here]
        if not names or not mutant.running:
            names += [
                name
                for name, lines in self.lines.items()
                if name not in names and any(path == file for path, _ in lines)
            ]
        return sorted(names, key=lambda name: self.seconds[name])


def in_child(work: Callable[[], Any]) -> tuple[int, Any]:
    """Run ``work`` in a fork; return its status, and its result unless it was killed."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            with os.fdopen(write, "wb") as pipe, contextlib.suppress(BrokenPipeError):
                pickle.dump(work(), pipe)
            os._exit(0)
        except BaseException:
            os._exit(CAUGHT)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    return status, pickle.loads(data) if data else None


def registered() -> dict[str, Any]:
    return importlib.import_module("npdiff.laboratory.registry").checks()


def failing(check: Any, index: int) -> bool:
    """Whether a check fails in one case; exceptions are passed on."""
    registry = importlib.import_module("npdiff.laboratory.registry")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        residuals = check.residuals(registry.Case(check.name, index))
    return not all(found <= check.tolerance for found in residuals.values())


def run_parallel(work: Callable[[int], Any], count: int, jobs: int) -> Iterator[tuple[int, Any]]:
    """Yield (i, ``work(i)``) for all i < count from several processes, as they finish."""
    _WORK[:] = [work]
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap_unordered(_numbered, range(count))


_WORK: list[Callable[[int], Any]] = []


def _numbered(number: int) -> tuple[int, Any]:
    return number, _WORK[0](number)


def measured(name: str, watched: set[str]) -> tuple[float, set[tuple[str, int]], bool]:
    """Processor seconds of a check, the lines of watched files it runs, whether it fails."""
    check, lines = registered()[name], set()

    def follow(frame: Any, event: str, _: Any) -> Any:
        if event == "call" and frame.f_code.co_filename not in watched:
            return None
        if event == "line":
            lines.add((frame.f_code.co_filename, frame.f_lineno))
        return follow

    start = time.process_time()
    sys.settrace(follow)
    try:
        failed = sum(failing(check, index) for index in range(check.cases)) > 0  # all of them
    finally:
        sys.settrace(None)
    return time.process_time() - start, lines, failed


def reach(paths: list[Path], names: list[str], jobs: int) -> Reach:
    """Run every check alone and record its time and its lines."""
    found, watched = Reach(), {str(path) for path in paths}

    def work(number: int) -> tuple[int, Any]:
        return in_child(lambda: measured(names[number], watched))

    for number, (status, result) in run_parallel(work, len(names), jobs):
        if status or result[2]:
            print(
                f"mutants: {names[number]} fails without a change and is left out", file=sys.stderr
            )
        else:
            found.seconds[names[number]], found.lines[names[number]], _ = result
    return found


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import hook: loads one module from a changed syntax tree instead of its file."""

    def __init__(self, path: Path, code: CodeType) -> None:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        self.package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.package else parts)
        self.path, self.code = path, code

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(
            name,
            self.path,
            loader=self,
            submodule_search_locations=[str(self.path.parent)] if self.package else None,
        )

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        exec(self.code, module.__dict__)


def functions() -> dict[tuple[str, str], list[FunctionType]]:
    """All function objects in memory, by file and qualified name."""
    found: dict[tuple[str, str], list[FunctionType]] = {}
    for thing in gc.get_objects():
        if type(thing) is FunctionType:  # isinstance would call other libraries' __class__
            code = thing.__code__
            found.setdefault((code.co_filename, code.co_qualname), []).append(thing)
    return found


def run_at_import(paths: list[Path]) -> set[tuple[str, str]]:
    """The functions that run on import: after a change in one the package is imported again."""
    watched, seen = {str(path) for path in paths}, set()

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename in watched:
            name = frame.f_code.co_qualname.partition(".<locals>")[0]
            seen.add((frame.f_code.co_filename, name))

    def work() -> set[tuple[str, str]]:
        forget()
        sys.setprofile(note)
        registered()
        sys.setprofile(None)
        return seen

    return in_child(work)[1]


def forget() -> None:
    """Forget the imported package, so that it is imported again."""
    for name in list(sys.modules):
        if name.partition(".")[0] == "npdiff":
            del sys.modules[name]


def code_named(code: CodeType, name: str) -> CodeType:
    """The code object of a function or method."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType) and constant.co_name == name.partition(".")[0]:
            rest = name.partition(".")[2]
            return code_named(constant, rest) if rest else constant
    raise LookupError(name)


class Laboratory:
    """Runs mutants against the checks."""

    def __init__(self, trees: dict[Path, ast.Module], found: Reach) -> None:
        self.trees, self.reach = trees, found
        self.killers: dict[tuple[str, str], str] = {}
        self.alive, self.early = functions(), run_at_import(list(trees))

    def caught(self, mutant: Mutant) -> str:
        """The name of the first check that fails, or ""; runs in a process that ends afterwards."""
        names = self.reach.of(mutant)
        mutant.apply()
        tree = ast.fix_missing_locations(self.trees[mutant.path])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SyntaxWarning: 1(x)
            code = compile(tree, str(mutant.path), "exec")
        where = str(mutant.path), mutant.function
        twins = self.alive.get(where, [])
        if mutant.running and where not in self.early and len(twins) == 1:
            twins[0].__code__ = code_named(code, mutant.function)
        else:
            forget()
            sys.meta_path.insert(0, Changed(mutant.path, code))
        checks = registered()
        known = self.killers.get(where, "")

        def priority(case: tuple[str, int]) -> tuple[bool, float]:
            """Sort key: first the check that caught a change of this function, then the fastest."""
            name, index = case
            return name != known, self.reach.seconds[name] * (index + 1) / checks[name].cases

        cases = [(name, index) for name in names for index in range(checks[name].cases)]
        for name, index in sorted(cases, key=priority):
            try:
                seen = failing(checks[name], index)
            except Exception:
                seen = True
            if seen:
                return name
        return ""

    def judge(self, mutant: Mutant) -> int:
        """CAUGHT, SURVIVED or TIMED_OUT."""
        names = self.reach.of(mutant)
        if not names:
            return SURVIVED
        limit = GRACE + PATIENCE * sum(self.reach.seconds[name] for name in names)

        def work() -> str:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            signal.setitimer(signal.ITIMER_PROF, limit)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            return self.caught(mutant)

        status, result = in_child(work)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
            return TIMED_OUT
        if result:
            self.killers[str(mutant.path), mutant.function] = result
        return SURVIVED if result == "" else CAUGHT
