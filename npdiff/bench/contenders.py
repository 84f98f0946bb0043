"""The contenders: what each is, and the process in which it waits for its turn."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from npdiff.bench.machine import cpu_seconds_used, taken_by_others
from npdiff.bench.networks import Network
from npdiff.errors import InputError

#: Every contender by name, with a line about it.
CONTENDERS: dict[str, str] = {
    "npdiff": "as `npdiff train` and `npdiff sample` run",
    "npdiff-definitions": "every function as the textbook defines it, without kernels",
    "npdiff-checkpoint": "stages keep their input alone and run again in the pullback",
    "npdiff-tf32": "with TF32 products, for a GPU",
    "torch": "PyTorch eager, default layout and AdamW",
    "torch-channels-last": "PyTorch eager in channels_last",
    "torch-channels-last-fused": "PyTorch eager in channels_last with the fused AdamW",
    "torch-compile": "that through torch.compile",
    "torch-tf32": "channels_last and fused AdamW with TF32 products, for a GPU",
}
#: What is timed unless one asks for others.
DEFAULT_CONTENDERS = ("npdiff", "torch", "torch-channels-last", "torch-channels-last-fused")
#: The contender that measures what a matrix product reaches.
GEMM = "gemm"


def default_contenders() -> list[str]:
    """The contenders that take part unless one asks for others: PyTorch's where it is installed."""
    return [name for name in DEFAULT_CONTENDERS if is_available(name)]


def is_available(name: str) -> bool:
    """Whether a contender can take part here."""
    return not name.startswith("torch") or find_spec("torch") is not None


def check_contenders(names: list[str]) -> None:
    """Refuse contenders that do not exist, or cannot take part here.

    Raises
    ------
    InputError
        Naming the way out.
    """
    for name in names:
        if name not in CONTENDERS:
            every = ", ".join(CONTENDERS)
            raise InputError(f"no contender is called {name!r}: choose among {every}")
        if not is_available(name):
            raise InputError(
                f"contender {name!r} needs PyTorch, which is not installed: pip install torch, or "
                "leave it out"
            )


@dataclass(frozen=True)
class Spec:
    """What a process is told to be.

    Attributes
    ----------
    contender : a key of :data:`CONTENDERS`, or :data:`GEMM`
    network : its options
    batch : images at a time
    threads : that it may use
    backend : ``"numpy"`` or ``"cupy"``; PyTorch then uses the GPU as well
    """

    contender: str
    network: Network
    batch: int
    threads: int
    backend: str = "numpy"

    def to_json(self) -> str:
        """As a line that :meth:`from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Spec":
        """What :meth:`to_json` wrote; lists become tuples again."""
        fields = json.loads(text)
        network = fields.pop("network")
        network["shape"] = tuple(network["shape"])
        network["model"] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in network["model"].items()
        }
        return cls(network=Network(**network), **fields)


class ContenderError(Exception):
    """A contender could not do what it was asked for; says why."""


class Turn(NamedTuple):
    """What one turn took.

    Attributes
    ----------
    seconds : a repetition of the task, the mean of the turn's
    others : processors that other programs took meanwhile
    """

    seconds: float
    others: float


class Contender:
    """A process that does what it is told, and says what it took. A context manager.

    Raises
    ------
    ContenderError
        If it does not start.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        count = str(spec.threads)
        limits = ("NPDIFF_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        here = str(Path(__file__).parents[2])
        paths = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH", ""))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "npdiff.bench.worker", spec.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                **dict.fromkeys(limits, count),
                "NPDIFF_TF32": str(int(spec.contender.endswith("-tf32"))),
                "PYTHONPATH": paths,
            },
        )
        try:
            self._answer()
        except ContenderError:
            self.close()
            raise

    def __enter__(self) -> "Contender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, do: str, **options: Any) -> Any:
        """What the process answers.

        Raises
        ------
        ContenderError
            If it could not.
        """
        if self._process.stdin is None:
            raise ContenderError("it has ended")
        with suppress(BrokenPipeError):  # what became of it is said by its answer
            self._process.stdin.write(json.dumps({"do": do, **options}) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def turn(self, task: str, least: float) -> Turn:
        """Let it do a task once, and again until ``least`` seconds have passed."""
        time.sleep(0.05)  # others may still spin after their turn
        before = cpu_seconds_used()
        wall, cpu, times = self.ask(task, least=least)
        others = cpu_seconds_used() - before - cpu
        return Turn(wall / times, taken_by_others(others, wall, self.spec.threads))

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            code = self._process.wait()
            ways = {-9: "it was killed, likely for want of memory", -11: "segmentation fault"}
            raise ContenderError(f"it ended without an answer: {ways.get(code, f'status {code}')}")
        answer = json.loads(line)
        if "error" in answer:
            raise ContenderError(answer["error"])
        return answer["answer"]
