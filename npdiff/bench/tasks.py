"""The tasks of npdiff: training as in ``npdiff train``, sampling as in ``npdiff sample``."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.acceleration import definitions_only, frozen_weights
from npdiff.backend import Array, module
from npdiff.bench.networks import Workload
from npdiff.generation import generate, sharded
from npdiff.pullback import Traced
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runtime.threads import ThreadPool
from npdiff.slices import split_range
from npdiff.training.flat import Flat
from npdiff.training.step import State, apply_gradient, loss_and_gradient

#: Steps of DDIM, and the guidance scale if there are labels: then two evaluations per step.
STEPS, GUIDANCE = 10, 3.0


class Npdiff:
    """The tasks for one workload. Training allocates its state on the first step.

    Parameters
    ----------
    work : the workload
    threads : number of threads for shards
    definitions : whether kernels are switched off
    checkpointed : whether each stage of the U-Net keeps only its input and runs again in the
        pullback
    """

    def __init__(
        self, work: Workload, threads: int, *, definitions: bool = False, checkpointed: bool = False
    ) -> None:
        self.work, self.threads, self.definitions = work, threads, definitions
        self.workers = ThreadPool(1 if work.config.backend == "cupy" else threads)
        self.xp = module(work.config.backend)
        network = tree.map(self.xp.asarray, work.model)
        self.network = network.replace(gradient_checkpointing=True) if checkpointed else network
        self.x, self.timestep, self.target = map(
            self.xp.asarray, (work.x, work.timestep, work.target)
        )
        self.state: Any = None
        self.flat: Flat | None = None
        self.evaluate: Any = None
        self.step = 0

    def run(self, task: str) -> Any:
        """Run ``train``, ``infer`` or ``sample`` once, to its end, and return its result."""
        context: AbstractContextManager[None] = nullcontext()
        if self.definitions:
            context = definitions_only()
        with context:
            made = getattr(self, f"{task}_block" if self.work.network.attention else task)()
        if self.work.config.backend == "cupy":
            self.xp.cuda.Device().synchronize()
        return made

    def train(self) -> None:
        """One step: batch, noise, forward, pullback, clipping, AdamW, moving average."""
        if self.state is None:
            state = State.initial(self.network)
            self.flat = Flat.of(state, self.workers)
            self.state = state if self.flat is None else self.flat.state
        self.step += 1
        self.update(*self.gradient())

    def gradient(self) -> tuple[float, Any]:
        """The norm of the next step's gradient, and the gradient."""
        work = self.work
        _, norm, gradient = loss_and_gradient(
            self.state.model, work.dataset, self.step, work.config, self.workers, self.flat
        )
        return norm, gradient

    def update(self, norm: float, gradient: Any) -> None:
        """Apply the gradient: clipping, AdamW, moving average."""
        config = self.work.config
        self.state = apply_gradient(self.state, gradient, norm, self.step, config, self.flat)

    def infer(self) -> Array:
        """One evaluation of the network, as in each step of a sampler."""
        work, config = self.work, self.work.config
        if self.evaluate is None:
            labels = None if work.labels is None else self.xp.asarray(work.labels)
            self.evaluate = sharded(
                self.network, self.workers, config.shard, config.backend, labels=labels
            )
        return self.evaluate(self.x, self.timestep)

    def sample(self) -> np.ndarray:
        """Ten steps of DDIM, guided where there are labels."""
        checkpoint = Checkpoint(self.network, self.work.config, 0)
        labels = self.work.labels
        return generate(
            checkpoint, labels, count=len(self.work.x), steps=STEPS,
            guidance=1.0 if labels is None else GUIDANCE,
            backend=self.work.config.backend, threads=self.threads,
            progress=False,
        )  # fmt: skip

    def train_block(self) -> None:
        """Forward and pullback of a block, shard by shard."""

        def run(shard: slice) -> Any:
            _, pullback = self.network(self.x[shard])
            return pullback(self.target[shard])[0]

        with frozen_weights():
            self.workers.sum(run, split_range(self.work.config.batch, self.work.config.shard_size))

    def infer_block(self) -> None:
        """One evaluation of a block."""
        if self.evaluate is None:
            config = self.work.config
            self.evaluate = sharded(self._block, self.workers, config.shard, config.backend)
        self.evaluate(self.x, self.timestep)

    def _block(self, x: Array, _: Array) -> Traced:
        return self.network(x)
