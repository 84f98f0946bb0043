"""Mutation testing of the checks: change every formula, one change at a time, and run the checks.

    python -m benchmarks.mutants                      all modules with formulas
    python -m benchmarks.mutants samplers process.py  some, as paths within npdiff
    python -m benchmarks.mutants --sample 0.1 --json figures.json

:mod:`benchmarks.mutations` defines the changes. Each mutant runs in a separate process: the checks
of ``npdiff verify`` that reach the changed line run, fastest first, until one fails. A mutant is
caught if a residual exceeds its tolerance, if a check raises, or if it takes far longer than
without the change. A mutant that no check reaches survives. Needs ``os.fork``.
"""

import argparse
import ast
import contextlib
import importlib
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.mutation_lab import (
    PACKAGE,
    SURVIVED,
    TIMED_OUT,
    Laboratory,
    Reach,
    reach,
    registered,
    run_parallel,
)
from benchmarks.mutations import Mutant, mutants
from benchmarks.survivors import EQUIVALENT

#: Files and folders with formulas.
FORMULAS = (
    "schedules", "process.py", "parameterization.py", "denoiser.py", "variances.py", "guidance",
    "spacings", "samplers", "objective", "likelihood", "exact", "editing", "ops", "random.py",
    "metrics/frechet.py", "metrics/kernel.py", "metrics/manifold.py", "metrics/features.py",
    "training/optimizer.py",
)  # fmt: skip

#: Files in these folders without formulas: input validation, and the programs on checkpoints.
PROGRAMS = {
    "samplers/checks.py", "likelihood/_evaluate.py", "likelihood/_result.py", "editing/images.py",
    "editing/inversion.py", "editing/_model.py",
}  # fmt: skip


def files(names: list[str]) -> list[Path]:
    """The given files and the files of the given folders."""
    found = []
    for name in names or FORMULAS:
        path = PACKAGE / name
        if not path.exists():
            raise SystemExit(f"mutants: {path} does not exist: give paths within npdiff")
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [path for path in found if path.relative_to(PACKAGE).as_posix() not in PROGRAMS]


def identity(mutant: Mutant) -> str:
    """The identity of a mutant: file, function and change, without the line."""
    file = mutant.path.relative_to(PACKAGE).as_posix()
    return f"{file}:{mutant.function}: {mutant.change}"


def report(todo: list[Mutant], verdicts: dict[int, int], found: Reach) -> dict[str, Any]:
    """Counts per module and in total, and the surviving mutants."""
    modules: dict[str, Counter[str]] = {}
    survivors = []
    for number, mutant in enumerate(todo):
        file = mutant.path.relative_to(PACKAGE).as_posix()
        count = modules.setdefault(file, Counter(mutants=0, caught=0, timed_out=0))
        count["mutants"] += 1
        count["caught"] += verdicts[number] != SURVIVED
        count["timed_out"] += verdicts[number] == TIMED_OUT
        if verdicts[number] == SURVIVED:
            checks = len(found.of(mutant))
            survivors.append({"at": f"{file}:{mutant.line}", "function": mutant.function,
                              "change": mutant.change, "checks": checks})  # fmt: skip
    total = Counter(mutants=0, caught=0, timed_out=0)
    for count in modules.values():
        total.update(count)
    return {"modules": modules, "total": total, "survivors": survivors}


def as_text(figures: dict[str, Any], equivalent: int, seconds: float) -> str:
    """The report as text."""
    lines = []
    for one in figures["survivors"]:
        reached = f"{one['checks']} checks" if one["checks"] else "no check reaches it"
        lines.append(f"{one['at']} {one['function']}: {one['change']}  ({reached})")
    lines += ["", f"{'mutants':>8} {'caught':>7} {'rate':>7}  module"]
    for name, count in (*figures["modules"].items(), ("total", figures["total"])):
        rate = count["caught"] / max(1, count["mutants"])
        lines.append(f"{count['mutants']:8} {count['caught']:7} {rate:7.1%}  {name}")
    timed_out = figures["total"]["timed_out"]
    lines.append(
        f"{timed_out} of the caught timed out; {equivalent} known to be equivalent left out; "
        f"{seconds:.0f} s"
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="benchmarks.mutants", description=__doc__.split("\n")[0])
    parser.add_argument("paths", nargs="*", help="files and folders within npdiff")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--sample", type=float, default=1.0, help="fraction of the mutants to run")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    parser.add_argument(
        "--list", action="store_true", help="print the mutants without running them"
    )
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)

    start = time.monotonic()
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in files(options.paths)}
    everything = [mutant for path, tree in trees.items() for mutant in mutants(path, tree)]
    draw = random.Random(options.seed)
    everything = [mutant for mutant in everything if draw.random() < options.sample]
    todo = [mutant for mutant in everything if identity(mutant) not in EQUIVALENT]
    if options.list:
        for mutant in todo:
            print(f"{mutant.line:4} {identity(mutant)}")
        return 0
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for name in ("special", "linalg", "signal", "integrate", "optimize", "stats", "spatial"):
        with contextlib.suppress(ImportError):
            importlib.import_module(f"scipy.{name}")
    found = reach(list(trees), list(registered()), options.jobs)
    draw.shuffle(order := list(range(len(todo))))  # balances the load
    laboratory, verdicts = Laboratory(trees, found), {}

    def work(number: int) -> int:
        return laboratory.judge(todo[order[number]])

    for number, verdict in run_parallel(work, len(todo), options.jobs):
        verdicts[order[number]] = verdict
        if verdict == SURVIVED:
            print(identity(todo[order[number]]), file=sys.stderr)
        if len(verdicts) % 100 == 0:
            fraction = sum(v != SURVIVED for v in verdicts.values()) / len(verdicts)
            print(f"{len(verdicts)} of {len(todo)}: {fraction:.1%} caught", file=sys.stderr)
    figures = report(todo, verdicts, found)
    seconds = time.monotonic() - start
    print(as_text(figures, len(everything) - len(todo), seconds))
    if options.json:
        options.json.write_text(json.dumps({**figures, "seconds": seconds}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
