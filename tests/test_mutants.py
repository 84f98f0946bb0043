"""Mutation testing: which code is changed, and that the checks catch wrong formulas."""

import ast
from pathlib import Path

import pytest

from benchmarks import mutants as command
from benchmarks.mutation_lab import (
    CAUGHT,
    PACKAGE,
    SURVIVED,
    Laboratory,
    in_child,
    reach,
    run_parallel,
)
from benchmarks.mutations import mutants
from benchmarks.survivors import EQUIVALENT

FILES = {"training/optimizer.py", "random.py"}
SOURCE = '''
HALF = 0.5
def f(x, scale=2.0):
    """A docstring - not a formula."""
    if x.ndim < 1:
        raise ValueError(f"{x.ndim - 1} axes")
    y = scale * x[1:] + HALF
    return -np.exp(y) if np.abs(y).max() <= 1e-9 else atan2(x, y)
'''


def changes(source: str) -> dict[str, tuple[str, bool]]:
    """The changes of a source text: the function of each, and whether it runs on a call."""
    tree = ast.parse(source)
    return {m.change: (m.function, m.running) for m in mutants(Path("f.py"), tree)}


def test_every_kind_of_change_is_made_and_no_other() -> None:
    found = changes(SOURCE)
    assert {change for change, (_, running) in found.items() if running} == {
        "scale * x[1:] + HALF -> scale * x[1:] - HALF",
        "scale * x[1:] -> scale / x[1:]",
        "scale * x[1:] -> scale",
        "scale * x[1:] -> x[1:]",
        "scale * x[1:] -> scale * x[2:]",
        "-np.exp(y) -> np.exp(y)",
        "np.exp(y) -> np.expm1(y)",
        "np.abs(y) -> y",
        "np.abs(y).max() <= 1e-09 -> np.abs(y).max() > 1e-09",
        "np.abs(y).max() -> np.abs(y).min()",
        "atan2(x, y) -> atan2(y, x)",
    }
    assert {change: where for change, where in found.items() if not where[1]} == {
        "HALF = 0.5 -> HALF = 0.55": ("", False),
        "2.0 -> 2.2": ("f", False),
    }


@pytest.mark.parametrize(
    "source",
    [
        "def f(a: list[3]) -> Literal[4]:\n    return a",
        "def __repr__(self):\n    return 1 + 2",
        "TOLERANCE = 3",
        "def f(x):\n    for _ in range(60):\n        pass",
        "def f(x):\n    assert x < 1",
        "def f(x):\n    for y in x[1:]:\n        if y < 1:\n            raise ValueError",
        "def f(x):\n    return np.hypot(x, y), np.einsum('ij,ij->i', x, y), ('a' + 'b')",
        "def f(x):\n    return x + 1e-30",
    ],
)
def test_code_that_is_not_a_formula_is_unchanged(source: str) -> None:
    assert changes(source) == {}


def test_repeated_changes_have_different_names() -> None:
    assert list(changes("def f(x):\n    return minimum(x, a), minimum(x, a)")) == [
        "minimum(x, a) -> maximum(x, a)",
        "minimum(x, a) -> maximum(x, a) [2]",
    ]


def test_parallel_results_come_with_their_index() -> None:
    assert dict(run_parallel(lambda i: i * i, 7, 2)) == {i: i * i for i in range(7)}
    assert in_child(lambda: 3) == (0, 3)
    assert in_child(lambda: 1 / 0)[0] != 0


def test_equivalent_mutants_exist_in_the_code() -> None:
    """An entry of ``REASONS`` whose formula is no longer in the code has to be removed."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in command.files([])}
    known = {command.identity(m) for path, tree in trees.items() for m in mutants(path, tree)}
    assert set(EQUIVALENT) <= known
    assert all(path.is_relative_to(PACKAGE) for path in trees)


def test_wrong_formulas_are_caught() -> None:
    """A change in a function, in a default, in a constant; and one that no check reaches."""
    known = {
        "training/optimizer.py:ema: decay * old + (1.0 - decay) * new -> "
        "decay * old - (1.0 - decay) * new": CAUGHT,
        "training/optimizer.py:learning_rate: 0 -> 1": CAUGHT,
        "random.py:: _ROUNDS = 10 -> _ROUNDS = 11": CAUGHT,
        "random.py:Key.normal: 2.0 * math.pi -> 2.0 / math.pi": SURVIVED,
    }
    trees = {path: ast.parse(path.read_text()) for path in command.files(sorted(FILES))}
    everything = [mutant for path, tree in trees.items() for mutant in mutants(path, tree)]
    names = ["average_unrolled", "learning_rate_by_default", "philox_known_answers"]
    laboratory = Laboratory(trees, reach(list(trees), names, 1))
    todo = [mutant for mutant in everything if command.identity(mutant) in known]
    verdicts = {command.identity(mutant): laboratory.judge(mutant) for mutant in todo}
    assert verdicts == known
    figures = command.report(todo, dict(enumerate(verdicts.values())), laboratory.reach)
    assert figures["total"] == {"mutants": 4, "caught": 3, "timed_out": 0}
    assert [one["function"] for one in figures["survivors"]] == ["Key.normal"]
    assert "   75.0%  total" in command.as_text(figures, 0, 1.0)
