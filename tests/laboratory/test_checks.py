"""The layout of the checks: they mirror the package, and every registered name has an equation."""

import ast
import inspect
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from npdiff import guidance
from npdiff.laboratory.equations import PACKAGE, equations, labeled_equations
from npdiff.laboratory.registry import checks
from npdiff.objective import TIME_SAMPLERS, WEIGHTINGS
from npdiff.samplers import SAMPLERS
from npdiff.schedules import SCHEDULES
from npdiff.spacings import SPACINGS

CHECKS = PACKAGE / "laboratory" / "checks"
FILES = sorted(path for path in CHECKS.rglob("*.py") if path.name != "__init__.py")
HELPERS = [path for path in FILES if path.name.startswith("_")]


def mirrored(file: str) -> str:
    """The file of the checks for a file of the package: ``samplers/_ddim.py`` -> ``ddim.py``."""
    path = Path(file)
    return path.with_name(path.name.removeprefix("_")).as_posix()


@pytest.mark.parametrize("name", checks())
def test_a_check_is_in_the_file_that_mirrors_its_equation(name: str) -> None:
    """Or in ``several.py`` or ``orders.py`` of the folder of its equations."""
    check = checks()[name]
    file = check.location.rpartition(":")[0].removeprefix("laboratory/checks/")
    files = {equations()[label].file for label in check.labels}
    folders = Counter(Path(f).parent.as_posix() for f in files)
    allowed = {mirrored(f) for f in files}
    allowed |= {f"{folder}/several.py" for folder, count in folders.items() if count >= 3}
    if name.startswith("order_of_"):
        allowed |= {"samplers/orders.py"}
    assert file in allowed


@pytest.mark.parametrize(
    "path", [path for path in FILES if path not in HELPERS],
    ids=lambda path: path.relative_to(CHECKS).as_posix(),
)  # fmt: skip
def test_a_file_of_checks_has_checks(path: Path) -> None:
    """Shared helpers are in files with a leading underscore."""
    file = path.relative_to(PACKAGE).as_posix()
    assert any(check.location.startswith(f"{file}:") for check in checks().values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CHECKS).as_posix())
def test_checks_import_helpers_only_from_helper_modules(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "npdiff.laboratory.checks"
        ):
            names = [node.module, *(alias.name for alias in node.names)]
            assert any(str(name).rpartition(".")[2].startswith("_") for name in names)


#: Objects whose docstrings do not name the equation that defines them, and that equation.
STATED_ELSEWHERE = {
    "sampler dpm-solver": "dpm-solver-2",
    "weighting x0": "error-units",
    "weighting v": "error-units",
    "time sampler uniform": "low-discrepancy",
    "guidance batched_cfg": "classifier-free-guidance",
}


def registered() -> dict[str, Any]:
    """Every registered object of the diffusion packages, and the public functions of guidance."""
    registries = {
        "sampler": SAMPLERS, "schedule": SCHEDULES, "spacing": SPACINGS, "weighting": WEIGHTINGS,
        "time sampler": TIME_SAMPLERS,
    }  # fmt: skip
    found = {
        f"{kind} {name}": value
        for kind, registry in registries.items()
        for name, value in registry.items()
    }
    for name in guidance.__all__:
        if inspect.isfunction(getattr(guidance, name)):
            found[f"guidance {name}"] = getattr(guidance, name)
    return found


def labels_of(thing: Any) -> set[str]:
    """Labels of the equations that the docstring of a function, class or object states or cites."""
    definition = thing if inspect.isfunction(thing) or inspect.isclass(thing) else type(thing)
    text = inspect.getdoc(definition) or ""
    return {label for label, _ in labeled_equations(text)} | set(re.findall(r":eq:`([^`]+)`", text))


@pytest.mark.parametrize("name", registered())
def test_a_registered_object_has_an_equation(name: str) -> None:
    """With the tests of the registry: and so a check."""
    labels = labels_of(registered()[name]) or {STATED_ELSEWHERE.get(name)}
    assert labels & equations().keys(), f"the docstring of {name} states and cites no equation"


def test_an_object_without_an_equation_is_found() -> None:
    def new_schedule() -> None:
        """A schedule whose formula is not stated."""

    def steeper() -> None:
        """The schedule :eq:`linear-vp` with larger beta."""

    assert labels_of(new_schedule) == set()
    assert labels_of(steeper) == {"linear-vp"}
