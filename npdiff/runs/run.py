"""The directory of a training run, whose files are complete at every moment.

=====================  =====================================================================
``config.json``        the configuration, with the fields that the data decide
``state.safetensors``  the state after one step: weights, their average, the optimizer's moments
``metrics.jsonl``      one line per step; lines after the step of the state are dropped on resuming
``samples/``           images of samples, named by their step
``model.safetensors``  the averaged weights alone, when the run has finished
=====================  =====================================================================

The state is one file that is replaced in one operation, so a process killed at any moment leaves a
run that can be resumed without loss.
"""

import errno
import json
import os
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar

from npdiff.errors import InputError
from npdiff.files import atomic, drafts, explain_file_errors
from npdiff.runs import checkpoint
from npdiff.runs.checkpoint import Checkpoint, Header
from npdiff.runs.config import Config

T = TypeVar("T")

#: The fields that may change when a run is resumed: none of them changes the result of a step.
MAY_CHANGE = ("steps", "sample_every", "checkpoint_every")


class Run:
    """A run directory, open for training.

    Parameters
    ----------
    path : the directory
    config : its configuration
    """

    def __init__(self, path: str | Path, config: Config) -> None:
        self.path = Path(path)
        self.config = config
        self._metrics: BinaryIO | None = None

    def __repr__(self) -> str:
        done = self.metrics()
        step = done[-1]["step"] if done else 0
        return f"Run({str(self.path)!r}, step {step:,} of {self.config.steps:,})"

    @property
    def state_path(self) -> Path:
        """The file of the state."""
        return self.path / "state.safetensors"

    @property
    def model_path(self) -> Path:
        """The file of a finished run's averaged weights."""
        return self.path / "model.safetensors"

    @classmethod
    def create(cls, path: str | Path, config: Config) -> Self:
        """A new run in a directory that does not exist or is empty.

        Raises
        ------
        InputError
            If the directory is not empty.
        """
        path = Path(path)
        with explain_file_errors(path, "create"):
            path.mkdir(parents=True, exist_ok=True)
            if len(list(path.iterdir())) > len(drafts(path)):
                raise InputError(
                    f"{path} exists and is not empty: if it holds a run, resume it (resume=True, "
                    "--resume), or choose another directory"
                )
        return cls(path, config)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The run in a directory.

        Raises
        ------
        InputError
            If the directory holds no run, or its configuration does not fit.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"there is no run directory {path}")
        if not (path / "config.json").is_file():
            raise InputError(f"{path} is not a run directory: it has no config.json")
        return cls(path, Config.read(path / "config.json"))

    @classmethod
    def load(cls, path: str | Path, network: Any = None, **objects: Any) -> Checkpoint:
        """The averaged network of the run at its last checkpoint; see :func:`load_model`."""
        state = Path(path) / "state.safetensors"
        if not state.is_file():
            cls.open(path)
            raise InputError(f"{path} has no checkpoint yet: train it further")
        named, header = checkpoint.load(state, "state", "average.", **objects)
        return checkpoint.rebuild(named, header, state, network)

    def change(self, wanted: Config) -> None:
        """Adopt the fields of ``wanted`` that may change when a run is resumed.

        The number of steps may change only if the learning rate does not depend on it
        (``decay="constant"``): then the longer run is, bit for bit, the run that had this number of
        steps from the start.

        Raises
        ------
        InputError
            If another field differs, or if the steps differ and the learning rate decays.
        """
        for name in self.config.differing(wanted):
            old, new = getattr(self.config, name), getattr(wanted, name)
            if name not in MAY_CHANGE:
                raise InputError(
                    f"config: {name} of the run in {self.path} is {old!r}, not {new!r}: resume it "
                    "unchanged, or start a new run in another directory"
                )
            if name == "steps" and self.config.decay != "constant":
                raise InputError(
                    f"config: the run in {self.path} was planned for {old} steps and its learning "
                    f"rate decays over them ({self.config.decay}), so it cannot go to {new}: only "
                    "a run with decay 'constant' can change its steps; start a new run"
                )
        self.config = wanted

    def save(self, state: object, step: int, seconds: float) -> None:
        """Replace the checkpoint on disk with the state after ``step``."""
        if self._metrics:
            with explain_file_errors(self.path / "metrics.jsonl", "write"):
                os.fsync(self._metrics.fileno())
        checkpoint.save(self.state_path, state, Header("state", self.config, step, seconds))

    def restore(self, like: T) -> tuple[T, int, float]:
        """The state on disk, its step and the seconds spent; ``like`` and step 0 if there is none.

        Raises
        ------
        InputError
            If the file is damaged or does not fit ``like``.
        """
        if not self.state_path.exists():
            return like, 0, 0.0
        named, header = checkpoint.load(self.state_path, "state")
        return checkpoint.fill(like, named, self.state_path), header.step, header.seconds

    def begin(self, step: int) -> None:
        """Prepare the directory for the step after ``step``: drop drafts and later metrics."""
        self.close()
        for draft in (*drafts(self.path), *drafts(self.path / "samples")):
            draft.unlink(missing_ok=True)
        with atomic(self.path / "config.json") as file:
            file.write(self.config.to_json().encode() + b"\n")
        path = self.path / "metrics.jsonl"
        kept = [record for record in self.metrics() if record["step"] <= step]
        with atomic(path) as file:
            file.writelines(_line(record) for record in kept)
        with explain_file_errors(path, "write"):
            self._metrics = path.open("ab", buffering=0)

    def log(self, record: dict[str, Any]) -> None:
        """Append one line to the metrics."""
        if self._metrics is None:
            raise RuntimeError("call begin() before log()")
        with explain_file_errors(self.path / "metrics.jsonl", "write"):
            line = _line(record)
            if self._metrics.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def metrics(self) -> list[dict[str, Any]]:
        """The records of the steps so far, without a last line that a killed process left torn.

        Raises
        ------
        InputError
            If another line is damaged.
        """
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        with explain_file_errors(path, "read"):
            *lines, _torn = path.read_bytes().split(b"\n")
        records = []
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                int(record["step"])
            except (ValueError, TypeError, KeyError):
                raise InputError(
                    f"{path} is damaged in line {number}: restore or delete it"
                ) from None
            records.append(record)
        return records

    def close(self) -> None:
        """Close the metrics."""
        if self._metrics:
            self._metrics.close()
            self._metrics = None


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def load_model(path: str | Path, network: Any = None, **objects: Any) -> Checkpoint:
    """The network in a run directory or in a file of :func:`~npdiff.runs.save_model`.

    Parameters
    ----------
    path : a file, or the directory of a run: then its last checkpoint's averaged weights
    network : for a run with its own network, a network of that class, whose weights are replaced
    objects : ``schedule``, ``prediction`` and ``data``, if the run was trained with objects and not
        names; without ``data``, functions that load its images raise an error

    Raises
    ------
    InputError
        If there is no model, it is damaged, or it needs an object that was not passed.
    """
    if Path(path).is_dir():
        return Run.load(path, network, **objects)
    named, header = checkpoint.load(path, "model", **objects)
    return checkpoint.rebuild(named, header, path, network)
