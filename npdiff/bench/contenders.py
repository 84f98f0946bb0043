"""The contenders of a benchmark, and the process in which each of them runs."""

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

#: Every contender by name, with a description.
CONTENDERS: dict[str, str] = {
    "npdiff": "as `npdiff train` and `npdiff sample` run",
    "npdiff-definitions": "every function by its definition, without kernels",
    "npdiff-checkpointing": "each stage keeps only its input and runs again in the pullback",
    "npdiff-tf32": "with TF32 products, for a GPU",
    "torch": "PyTorch eager, default layout and AdamW",
    "torch-channels-last": "PyTorch eager in channels_last",
    "torch-channels-last-fused": "PyTorch eager in channels_last with the fused AdamW",
    "torch-compile": "the same, compiled by torch.compile",
    "torch-tf32": "channels_last and fused AdamW with TF32 products, for a GPU",
}
#: The contenders by default.
DEFAULT_CONTENDERS = ("npdiff", "torch", "torch-channels-last", "torch-channels-last-fused")
#: The contender that measures the speed of matrix products.
GEMM = "gemm"


def default_contenders() -> list[str]:
    """The contenders by default; PyTorch's only if it is installed."""
    return [name for name in DEFAULT_CONTENDERS if is_available(name)]


def is_available(name: str) -> bool:
    """Whether a contender can run here."""
    return not name.startswith("torch") or find_spec("torch") is not None


def check_contenders(names: list[str]) -> None:
    """Raise an error if a contender does not exist or cannot run here.

    Raises
    ------
    InputError
        With the names that exist, or how to install PyTorch.
    """
    for name in names:
        if name not in CONTENDERS:
            raise InputError(f"unknown contender {name!r}: choose one of {', '.join(CONTENDERS)}")
        if not is_available(name):
            raise InputError(
                f"contender {name!r} needs PyTorch, which is not installed: pip install torch, or "
                "leave it out"
            )


@dataclass(frozen=True)
class Spec:
    """The specification of a contender's process.

    Attributes
    ----------
    contender : a key of :data:`CONTENDERS`, or :data:`GEMM`
    network : the options of its network
    batch : images at a time
    threads : number of threads that it may use
    backend : ``"numpy"`` or ``"cupy"``; with ``"cupy"`` PyTorch uses the GPU as well
    """

    contender: str
    network: Network
    batch: int
    threads: int
    backend: str = "numpy"

    def to_json(self) -> str:
        """One line of JSON, for :meth:`from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Spec":
        """The inverse of :meth:`to_json`; lists become tuples again."""
        fields = json.loads(text)
        network = fields.pop("network")
        network["shape"] = tuple(network["shape"])
        network["model"] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in network["model"].items()
        }
        return cls(network=Network(**network), **fields)


class ContenderError(Exception):
    """A contender failed; the message gives the reason."""


class Turn(NamedTuple):
    """The measured time of one turn.

    Attributes
    ----------
    seconds : mean time of a repetition of the task
    others : number of CPUs that other programs used during the turn
    """

    seconds: float
    others: float


class Contender:
    """A process that runs and times tasks on request. A context manager.

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
            self._read_reply()
        except ContenderError:
            self.close()
            raise

    def __enter__(self) -> "Contender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, command: str, **options: Any) -> Any:
        """Send a request to the process and return its result.

        Raises
        ------
        ContenderError
            If the request failed or the process has ended.
        """
        if self._process.stdin is None:
            raise ContenderError(
                f"cannot request {command!r}: the process has ended, start a new contender"
            )
        with suppress(BrokenPipeError):  # reading the reply then raises an error
            self._process.stdin.write(json.dumps({"do": command, **options}) + "\n")
            self._process.stdin.flush()
        return self._read_reply()

    def turn(self, task: str, least: float) -> Turn:
        """Run a task once, and repeat it until ``least`` seconds have passed."""
        time.sleep(0.05)  # threads of the previous contender may still spin
        before = cpu_seconds_used()
        wall, cpu, times = self.request(task, least=least)
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

    def _read_reply(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            code = self._process.wait()
            causes = {-9: "it was killed, probably for lack of memory", -11: "segmentation fault"}
            raise ContenderError(
                f"the process ended without a reply: {causes.get(code, f'status {code}')}"
            )
        reply = json.loads(line)
        if "error" in reply:
            raise ContenderError(reply["error"])
        return reply["result"]
