"""``--import``: every command accepts names that a module registers."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npdiff.cli.main import COMMANDS
from npdiff.data import DATASETS
from npdiff.objective import TIME_SAMPLERS
from npdiff.samplers import SAMPLERS
from npdiff.schedules import SCHEDULES
from npdiff.spacings import SPACINGS

MODULE = """
from itertools import pairwise

import numpy as np

from npdiff.backend import per_sample
from npdiff.data import DATASETS, Dataset
from npdiff.objective import TIME_SAMPLERS, LogitNormal
from npdiff.samplers import SAMPLERS, Step
from npdiff.schedules import SCHEDULES, Cosine
from npdiff.spacings import SPACINGS


@SAMPLERS.register("own-sampler")
def own_sampler(denoise, schedule, x, timesteps, strength=1.0):
    "My sampler, for tests."
    for t, s in pairwise(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        x = per_sample(schedule.alpha(s), x) * x0_hat + per_sample(schedule.sigma(s), x) * eps_hat
        yield Step(float(s), x, x0_hat)


@SPACINGS.register("own-spacing")
def own_spacing(schedule, steps, power=2.0):
    return schedule.t_max * np.linspace(1.0, 0.0, steps + 1) ** power


@DATASETS.register("own-data")
def own_data(count=20):
    images = np.zeros((count, 8, 8, 1), np.uint8)
    images[::2] = 255
    return Dataset(images, np.arange(count) % 2, ("light", "dark"))


SCHEDULES.register("own-schedule", Cosine)
TIME_SAMPLERS.register("own-times", LogitNormal())
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[str]:
    """The name of a module in the current folder; afterwards nothing of it is registered."""
    (tmp_path / "own_parts.py").write_text(MODULE)
    path = list(sys.path)
    yield "own_parts"
    sys.path[:] = path
    if sys.modules.pop("own_parts", None):
        SAMPLERS.remove("own-sampler")
        SPACINGS.remove("own-spacing")
        DATASETS.remove("own-data")
        SCHEDULES.remove("own-schedule")
        TIME_SAMPLERS.remove("own-times")


def test_train_resume_sample_and_info_with_registered_names(
    npdiff: Any, tiny: Any, own: str
) -> None:
    names = (
        *("--data", '{"name": "own-data", "count": 24}', "--time-sampler", "own-times"),
        *("--set", 'schedule={"name": "own-schedule", "s": 0.02}'),
    )
    trained = npdiff("train", "--import", own, "--out", "run", "--steps", "6", *names, *tiny)
    assert trained.code == 0, trained
    config = json.loads(Path("run/config.json").read_text())
    assert config["schedule"] == {"name": "own-schedule", "s": 0.02}
    assert config["data"] == {"name": "own-data", "count": 24}
    assert config["classes"] == ["light", "dark"]
    sampling = ("--sampler", "own-sampler", "--spacing", '{"name": "own-spacing", "power": 3}')
    result = npdiff(
        "sample", "run", f"--import={own}.py", "--steps", "3", *sampling,
        "--option", "strength=2", "--npz", "a.npz",
    )  # fmt: skip
    assert result.code == 0, result
    assert np.load("a.npz")["images"].shape == (16, 8, 8, 1)
    assert "own-schedule(s=0.02)" in npdiff("info", "run").out
    result = npdiff("train", "--import", own, "--out", "run", "--resume")
    assert "has finished: 6 steps" in result.out


def test_without_the_import_the_error_says_how_to_open_the_run(
    npdiff: Any, tiny: Any, own: str
) -> None:
    options = ("--data", "own-data", "--set", "schedule=own-schedule", "--steps", "2", *tiny)
    assert npdiff("train", "--import", own, "--out", "run", *options).code == 0
    SCHEDULES.remove("own-schedule")
    try:
        assert npdiff("sample", "run").failed_with("'own-schedule'", "--import my_module")
        assert npdiff("info", "run").failed_with("'own-schedule'", "--import my_module")
    finally:
        SCHEDULES.register("own-schedule", SCHEDULES["cosine-continuous"])


def test_the_help_lists_registered_names(npdiff: Any, own: str) -> None:
    result = npdiff("sample", "--import", own, "--help")
    assert "own-sampler           My sampler, for tests." in result.out
    assert "strength=1.0" in result.out
    assert "own-spacing" in result.out
    assert "own-times" in npdiff("train", "--import", own, "--help").out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_the_option(npdiff: Any, command: str) -> None:
    assert "--import MODULE" in npdiff(command, "--help").out
    assert npdiff(command, "--import", "no_such_module").failed_with("'no_such_module'", "folder")


def test_a_module_that_fails_is_reported_in_one_line(npdiff: Any, tmp_path: Path) -> None:
    (tmp_path / "broken_parts.py").write_text("import numpy\nraise OSError('no\\ndisk')\n")
    assert npdiff("info", "--import", "broken_parts").failed_with("broken_parts: OSError: no disk")
    (tmp_path / "missing_parts.py").write_text("import no_such_package\n")
    assert npdiff("info", "--import", "missing_parts").failed_with("no_such_package")
    result = npdiff("info", "--debug", "--import", "broken_parts")
    assert "Traceback" in result.err


def test_names_with_options_that_are_not_json(npdiff: Any) -> None:
    assert npdiff("sample", "--sampler", "{name: ddim}").failed_with("--sampler", "JSON")
    assert npdiff("sample", "--spacing", '{"name": "karras", "roh": 1}').failed_with("roh", "rho")
    assert npdiff("train", "--time-sampler", "uniforn").failed_with("did you mean 'uniform'")
