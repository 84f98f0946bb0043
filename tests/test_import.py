"""What `import npdiff` loads: next to nothing, until a module is used."""

import subprocess
import sys

import pytest

import npdiff

NAMES = {
    "InputError",
    "TrainingError",
    "forward_only",
    "gradient_checkpoint",
}  # all else are modules


def loaded_by(statement: str) -> set[str]:
    """The modules beside Python's own that a fresh interpreter holds after a statement."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return {
        name
        for name in done.stdout.split()
        if name.partition(".")[0] not in sys.stdlib_module_names
    }


def test_importing_the_package_loads_next_to_nothing() -> None:
    assert loaded_by("import npdiff") == {"npdiff", "npdiff.errors", "npdiff.pullback"}


def test_a_module_loads_what_it_stands_on() -> None:
    """Schedules know nothing of networks; and they are there for the asking, without an import."""
    loaded = loaded_by("import npdiff; npdiff.schedules.SCHEDULES")
    assert {"numpy", "npdiff.schedules.discrete"} <= loaded
    assert not {"npdiff.nn", "npdiff.ops", "npdiff.samplers"} & loaded


def test_sampling_does_not_load_verification_nor_data() -> None:
    loaded = loaded_by("from npdiff.generation import network")
    assert {"npdiff.nn.unet", "npdiff.samplers"} <= loaded
    assert not {"npdiff.verify", "npdiff.cli", "npdiff.metrics", "npdiff.exact"} & loaded
    assert not {"scipy", "matplotlib", "PIL", "safetensors", "tqdm", "threadpoolctl"} & loaded


@pytest.mark.parametrize("name", sorted(set(npdiff.__all__) - NAMES))
def test_every_module_is_there(name: str) -> None:
    assert getattr(npdiff, name).__name__ == f"npdiff.{name}"
    assert name in dir(npdiff)


def test_what_is_not_there_is_missing() -> None:
    with pytest.raises(AttributeError, match="'npdiff' has no attribute 'torch'"):
        npdiff.torch  # noqa: B018
