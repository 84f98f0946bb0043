"""``import npdiff``: what it loads, what it exports, and that no function hides a module."""

import subprocess
import sys
from pathlib import Path

import pytest

import npdiff

PACKAGE = Path(npdiff.__file__).parent
OBJECTS = {
    *("Checkpoint", "Config", "InputError", "SamplingConfig", "TrainingError"),
    *("fit", "forward_only", "generate", "gradient_checkpoint", "load", "train"),
}
#: Folders of the package, and the modules and folders in each, except those with a leading "_".
PACKAGES = {
    ".".join(("npdiff", *folder.parent.relative_to(PACKAGE).parts)): {
        path.stem
        for path in folder.parent.iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").is_file()) and path.name[0] != "_"
    }
    for folder in sorted(PACKAGE.rglob("__init__.py"))
    if "pytorch" not in folder.parts
}


def run(code: str, *arguments: str, cwd: Path | None = None) -> str:
    """The output of Python code in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, timeout=120, check=False, cwd=cwd,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(statement: str) -> set[str]:
    """The modules, without Python's own, that a fresh interpreter has loaded after a statement."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    return {
        name for name in run(code).split() if name.partition(".")[0] not in sys.stdlib_module_names
    }


def test_importing_the_package_loads_nothing_else() -> None:
    assert loaded_by("import npdiff; dir(npdiff)") == {"npdiff"}


def test_a_module_loads_only_the_layers_below_it() -> None:
    """Schedules without networks; and modules are attributes without a separate import."""
    loaded = loaded_by("import npdiff; npdiff.schedules.SCHEDULES")
    assert {"numpy", "npdiff.schedules.discrete"} <= loaded
    assert not {"npdiff.nn", "npdiff.ops", "npdiff.samplers"} & loaded


def test_sampling_does_not_load_verification_nor_data() -> None:
    loaded = loaded_by("from npdiff.generation import network")
    assert {"npdiff.guidance", "npdiff.samplers"} <= loaded
    assert not {"npdiff.verify", "npdiff.cli", "npdiff.metrics", "npdiff.exact"} & loaded
    assert not {"scipy", "matplotlib", "PIL", "safetensors", "tqdm", "threadpoolctl"} & loaded


@pytest.mark.parametrize("name", sorted(set(npdiff.__all__) - OBJECTS))
def test_every_exported_module_is_an_attribute(name: str) -> None:
    assert getattr(npdiff, name).__name__ == f"npdiff.{name}"


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_every_exported_object_comes_from_npdiff(name: str) -> None:
    found = getattr(npdiff, name)
    assert callable(found)
    assert found.__name__ == name
    assert found.__module__.startswith("npdiff.")


def test_dir_lists_the_exported_names_only() -> None:
    assert set(dir(npdiff)) == {*npdiff.__all__, "__version__"}


def test_a_missing_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'npdiff' has no attribute 'torch'"):
        npdiff.torch  # noqa: B018


NAMES = """
import importlib, sys, types
packages = [argument.split(":") for argument in sys.argv[1:]]

def hidden():
    for package, modules in packages:
        loaded = importlib.import_module(package)
        for name in modules.split(",") if modules else []:
            module = importlib.import_module(f"{package}.{name}")
            if getattr(loaded, name) is not module:
                yield f"{package}.{name}"

def exported():
    for package, _ in packages:
        loaded = importlib.import_module(package)
        for name in getattr(loaded, "__all__", ()):
            yield f"{package}.{name}", isinstance(getattr(loaded, name), types.ModuleType)

found, before = list(hidden()), list(exported())
print(*found)
# Reload the packages, first the deepest: no name may become another kind of object.
for package, _ in reversed(packages):
    importlib.reload(sys.modules[package])
print(*(name for (name, kind), (_, after) in zip(before, exported(), strict=True) if kind != after))
print(*hidden())
"""


def test_no_exported_name_hides_a_module_before_or_after_a_reload() -> None:
    """``npdiff.samplers.ddim`` is the function, because no module has that name."""
    arguments = [f"{package}:{','.join(sorted(names))}" for package, names in PACKAGES.items()]
    hidden, changed, hidden_after = run(NAMES, *arguments).splitlines()
    assert not hidden
    assert not changed
    assert not hidden_after


def test_a_function_that_hides_its_module_is_found(tmp_path: Path) -> None:
    package = tmp_path / "example"
    package.mkdir()
    (package / "plot.py").write_text("def plot(): pass\n")
    (package / "__init__.py").write_text("from .plot import plot\n__all__ = ['plot']\n")
    assert run(NAMES, "example:plot", cwd=tmp_path).split() == 2 * ["example.plot"]


def test_public_names_are_the_functions_of_private_modules() -> None:
    assert npdiff.samplers.ddim.__module__ == "npdiff.samplers._ddim"
    assert npdiff.generate.__module__.startswith("npdiff.generation.")
    assert npdiff.likelihood.bound.__module__ == "npdiff.likelihood._bound"
    assert npdiff.report.write.__module__ == "npdiff.report.figures"
