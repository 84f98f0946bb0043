"""Mutants against the checks: each in a process of its own, until a check fails.

A change of a function is put into the living function; one of what runs when a module is loaded (a
constant, a default, a table) is loaded anew with the whole package. Processes are forks, so what a
check keeps from call to call is never kept from mutant to mutant.
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
#: How often a check may take the processor time it takes without a change, and seconds on top.
PATIENCE, GRACE = 4.0, 5.0
MEMORY = 6 * 2**30
CAUGHT, SURVIVED, TIMED_OUT = 10, 11, 12


@dataclass
class Reach:
    """What the checks do where nothing is changed."""

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, set[tuple[str, int]]] = field(default_factory=dict)

    def of(self, mutant: Mutant) -> list[str]:
        """The checks that run the changed statement, or any line of its file, quickest first."""
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
    """Run ``work`` in a fork; its status, and its result where it ended by itself."""
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
    """Whether a check fails in one of its cases. What it raises is raised."""
    registry = importlib.import_module("npdiff.laboratory.registry")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = check.run(registry.Case(check.name, index))
    residuals = found if isinstance(found, dict) else dict.fromkeys(check.labels, found)
    return not all(float(residuals[label]) <= check.tolerance for label in check.labels)


def spread(work: Callable[[int], Any], count: int, jobs: int) -> Iterator[tuple[int, Any]]:
    """``work(i)`` for all i < count over processes, with their numbers, as they come."""
    _WORK[:] = [work]
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap_unordered(_numbered, range(count))


_WORK: list[Callable[[int], Any]] = []


def _numbered(number: int) -> tuple[int, Any]:
    return number, _WORK[0](number)


def measured(name: str, watched: set[str]) -> tuple[float, set[tuple[str, int]], bool]:
    """The seconds that a check takes, the lines of the watched files it runs, and its verdict."""
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
    """Every check by itself: where it goes, and for how long."""
    found, watched = Reach(), {str(path) for path in paths}

    def work(number: int) -> tuple[int, Any]:
        return in_child(lambda: measured(names[number], watched))

    for number, (status, result) in spread(work, len(names), jobs):
        if status or result[2]:
            print(f"mutants: {names[number]} fails as things are: left out", file=sys.stderr)
        else:
            found.seconds[names[number]], found.lines[names[number]], _ = result
    return found


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from a changed tree instead of its file."""

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
    """The functions of the package that are alive, by file and qualified name."""
    found: dict[tuple[str, str], list[FunctionType]] = {}
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType):
            code = thing.__code__
            found.setdefault((code.co_filename, code.co_qualname), []).append(thing)
    return found


def run_at_import(paths: list[Path]) -> set[tuple[str, str]]:
    """The functions that run when the package is imported: a change of theirs needs a new one."""
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
    """Import the package anew from here on."""
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
        """The check that sees the change, if one does; runs in a process that ends after it."""
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

        def turn(trial: tuple[str, int]) -> tuple[bool, float]:
            """Who has seen a change of this function comes first, then the quickest."""
            name, index = trial
            return name != known, self.reach.seconds[name] * (index + 1) / checks[name].cases

        trials = [(name, index) for name in names for index in range(checks[name].cases)]
        for name, index in sorted(trials, key=turn):
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
