"""The directory of a training run: what is on disk, and that it is whole at every moment.

=====================  =====================================================================
``config.json``        the configuration, filled in from the data
``state.safetensors``  everything the next step depends on, of one step: weights, average, moments
``metrics.jsonl``      a line a step; lines after the step of the state are dropped on resuming
``samples/``           pictures of samples, named by their step
``model.safetensors``  the averaged weights alone, when the run has finished
=====================  =====================================================================

The state is one file that is replaced in one step, so a process killed at any moment leaves a run
that goes on as if nothing had happened.
"""

import errno
import json
import os
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar

from npdiff.errors import InputError
from npdiff.files import atomic, drafts, explained
from npdiff.runs import checkpoint
from npdiff.runs.checkpoint import Checkpoint, Header
from npdiff.runs.config import Config

T = TypeVar("T")

#: What may differ between a run and its resumption: none of it changes a step's result.
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

    @property
    def state_path(self) -> Path:
        """The file that holds the state."""
        return self.path / "state.safetensors"

    @property
    def model_path(self) -> Path:
        """The file that holds the averaged weights of a finished run."""
        return self.path / "model.safetensors"

    @classmethod
    def create(cls, path: str | Path, config: Config) -> Self:
        """A new run in a directory that does not exist or is empty.

        Raises
        ------
        InputError
            If something is there already.
        """
        path = Path(path)
        with explained(path, "create"):
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
            If there is none, or its configuration does not fit.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"there is no run directory {path}")
        if not (path / "config.json").is_file():
            raise InputError(f"{path} is no run directory: it has no config.json")
        return cls(path, Config.read(path / "config.json"))

    @classmethod
    def load(cls, path: str | Path, like: Any = None) -> Checkpoint:
        """The averaged network of the run at its last checkpoint.

        Parameters
        ----------
        path : the run directory
        like : a network to take the weights, for a run of a network other than the U-Net

        Raises
        ------
        InputError
            If there is no run, no checkpoint yet, or the checkpoint is damaged.
        """
        run = cls.open(path)
        if not run.state_path.is_file():
            raise InputError(f"{path} has no checkpoint yet: train it further")
        named, header = checkpoint.load(run.state_path, "state", "average.")
        return checkpoint.rebuild(named, header, run.state_path, like)

    def change(self, wanted: Config) -> None:
        """Take over the fields of ``wanted`` that may change when a run is resumed.

        The number of steps may change only where the learning rate does not depend on it
        (``decay="constant"``): then the longer run is, bit for bit, the one that had been planned
        so long from the start.

        Raises
        ------
        InputError
            If another field differs, or the steps do and may not.
        """
        for name in self.config.differing(wanted):
            old, new = getattr(self.config, name), getattr(wanted, name)
            if name not in MAY_CHANGE:
                raise InputError(
                    f"config: {name} of the run in {self.path} is {old!r}, not {new!r}: resume it "
                    "as it is, or start a new run in another directory"
                )
            if name == "steps" and self.config.decay != "constant":
                raise InputError(
                    f"config: the run in {self.path} was planned for {old} steps and its learning "
                    f"rate decays over them ({self.config.decay}), so it cannot go to {new}: only "
                    "a run with decay 'constant' can change its steps; start a new run"
                )
        self.config = wanted

    def save(self, state: object, step: int, seconds: float) -> None:
        """Replace the checkpoint on disk by the state after ``step``."""
        if self._metrics:
            with explained(self.path / "metrics.jsonl", "write"):
                os.fsync(self._metrics.fileno())
        checkpoint.save(self.state_path, state, Header("state", self.config, step, seconds))

    def restore(self, like: T) -> tuple[T, int, float]:
        """The state on disk, its step and the seconds spent; ``like`` itself at step 0 if none.

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
        """Make the directory that of a run at ``step``: no drafts, no metrics after that step."""
        self.close()
        for draft in (*drafts(self.path), *drafts(self.path / "samples")):
            draft.unlink(missing_ok=True)
        with atomic(self.path / "config.json") as file:
            file.write(self.config.to_json().encode() + b"\n")
        path = self.path / "metrics.jsonl"
        kept = [record for record in self.metrics() if record["step"] <= step]
        with atomic(path) as file:
            file.writelines(_line(record) for record in kept)
        with explained(path, "write"):
            self._metrics = path.open("ab", buffering=0)

    def log(self, record: dict[str, Any]) -> None:
        """Append one line to the metrics."""
        if self._metrics is None:
            raise RuntimeError("begin() comes before log()")
        with explained(self.path / "metrics.jsonl", "write"):
            line = _line(record)
            if self._metrics.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def metrics(self) -> list[dict[str, Any]]:
        """The records of the steps so far; a last line that a killed process tore is left out.

        Raises
        ------
        InputError
            If another line is damaged.
        """
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        with explained(path, "read"):
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


def load_model(path: str | Path, like: Any = None) -> Checkpoint:
    """The network in a file of :func:`~npdiff.runs.checkpoint.save_model`, or of a run directory.

    Parameters
    ----------
    path : a file, or the directory of a run: then its last checkpoint's averaged weights
    like : a network to take the weights, where it is not the U-Net of the configuration

    Raises
    ------
    InputError
        If there is none, or it is damaged or of another make.
    """
    if Path(path).is_dir():
        return Run.load(path, like)
    named, header = checkpoint.load(path, "model")
    return checkpoint.rebuild(named, header, path, like)
