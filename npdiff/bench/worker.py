"""A contender's process: builds a network, then runs and times the tasks that it receives.

Reads one request per line, as JSON, from standard input; replies with ``{"result": ...}`` or
``{"error": ...}``. The first reply means that it is ready.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.backend import module
from npdiff.bench.contenders import GEMM, Spec
from npdiff.bench.memory import peak_growth
from npdiff.bench.networks import workload
from npdiff.runtime.heap import keep_freed_memory
from npdiff.runtime.threads import ThreadPool

#: The matrix products that are timed: a large square one, and one whose blocks stay in the cache.
SQUARE, BLOCK, BLOCKS = 2048, (512, 576, 64), 64


class Gemm:
    """Matrix products, to measure the highest speed of this machine."""

    def __init__(self, threads: int, backend: str) -> None:
        self.xp = module(backend)
        self.backend = backend
        rng = np.random.default_rng(0)
        m, k, n = BLOCK

        def draw(*shape: int) -> Any:
            return self.xp.asarray(rng.standard_normal(shape).astype(np.float32))

        side = SQUARE if backend == "numpy" else 4 * SQUARE
        self.square_operands = draw(side, side), draw(side, side)
        self.workers = ThreadPool(threads if backend == "numpy" else 1)
        self.block_operands = [(draw(m, k), draw(k, n)) for _ in range(threads)]
        self.operations = {"square": 2 * side**3, "blocks": 2 * m * k * n * BLOCKS * threads}

    def run(self, task: str) -> None:
        """Run ``square`` or ``blocks`` once, and wait until it is complete."""
        getattr(self, task)()
        if self.backend == "cupy":
            self.xp.cuda.Device().synchronize()

    def square(self) -> None:
        """One product of large square matrices, on BLAS's own threads."""
        a, b = self.square_operands
        self.xp.matmul(a, b)

    def blocks(self) -> None:
        """Products of matrices that stay in the second-level cache, on one thread each."""

        def run(operands: Any) -> None:
            a, b = operands
            out = self.xp.empty((a.shape[0], b.shape[1]), np.float32)
            for _ in range(BLOCKS):
                self.xp.matmul(a, b, out=out)

        self.workers.map(run, self.block_operands)


def build_tasks(spec: Spec) -> Any:
    """The object that runs the contender's tasks."""
    if spec.contender == GEMM:
        return Gemm(spec.threads, spec.backend)
    work = workload(spec.network, spec.batch, spec.threads, spec.backend)
    kind, _, variant = spec.contender.partition("-")
    if kind == "npdiff":
        from npdiff.bench.tasks import Npdiff

        keep_freed_memory()  # as in every command
        return Npdiff(
            work, spec.threads,
            definitions=variant == "definitions", checkpointed=variant == "checkpoint",
        )  # fmt: skip
    from npdiff.bench.pytorch.tasks import Torch

    return Torch(work, spec.threads, variant)


def timed(run: Callable[[], object], least: float) -> tuple[float, float, int]:
    """Repeat ``run`` for ``least`` seconds: wall time, CPU time, and number of repetitions."""
    cpu, wall, times = time.process_time(), time.perf_counter(), 0
    while True:
        run()
        times += 1
        took = time.perf_counter() - wall
        if took >= least:
            return took, time.process_time() - cpu, times


def handle(tasks: Any, spec: Spec, request: dict[str, Any]) -> Any:
    """The result of a request."""
    do = request["do"]
    if do == "operations":
        return tasks.operations
    if do == "memory":
        return memory(tasks, spec, request["task"])
    if do == "agreement":
        from npdiff.bench.pytorch.agreement import agreement

        return agreement(spec.network)
    return timed(lambda: tasks.run(do), request["least"])


def memory(tasks: Any, spec: Spec, task: str) -> float | None:
    """The peak memory of a task in bytes, minus that of the idle process with its network."""

    def twice() -> None:
        tasks.run(task)
        tasks.run(task)

    if spec.backend == "numpy":
        return peak_growth(twice)
    if spec.contender.startswith("torch"):
        return tasks.device_peak(twice)
    pool = tasks.xp.get_default_memory_pool()
    before = pool.total_bytes()
    twice()
    return float(pool.total_bytes() - before)


def main(text: str) -> None:
    """Build the tasks, reply, and serve requests. Output of libraries goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def reply(compute: Callable[[], Any]) -> bool:
        try:
            message = {"result": compute()}
        except Exception as error:  # the parent process handles it
            line = " ".join(str(error).split())
            message = {"error": f"{type(error).__name__}: {line}"[:500]}
        print(json.dumps(message), file=replies, flush=True)
        return "result" in message

    spec = Spec.from_json(text)
    built: list[Any] = []
    if not reply(lambda: built.append(build_tasks(spec))):
        return
    for line in sys.stdin:
        if not reply(lambda line=line: handle(built[0], spec, json.loads(line))):  # type: ignore[misc]
            return


if __name__ == "__main__":
    main(sys.argv[1])
