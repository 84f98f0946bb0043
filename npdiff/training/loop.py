"""The training loop, a generator that yields a record a step; what is on disk is always whole."""

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npdiff import tree
from npdiff.backend import module
from npdiff.data import Dataset
from npdiff.errors import InputError, TrainingError
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.pullback import forward_only
from npdiff.runs.checkpoint import new_model, save_model
from npdiff.runs.config import Config
from npdiff.runs.dataset import load_data
from npdiff.runs.run import Run
from npdiff.runtime.memory import memory_explained
from npdiff.runtime.shards import ThreadPool, thread_count
from npdiff.schedules import SCHEDULES
from npdiff.training.flat import Flat
from npdiff.training.preview import preview
from npdiff.training.step import State, apply_gradient, learning_rate_at, loss_and_gradient


class Progress(NamedTuple):
    """What one step reports.

    Attributes
    ----------
    step : its number, from 1
    loss : the mean weighted loss of its samples
    grad_norm : the norm of the gradient, before clipping
    learning_rate : as it was used
    images_per_second : of this step
    seconds : of training so far, earlier sessions of a resumed run included
    """

    step: int
    loss: float
    grad_norm: float
    learning_rate: float
    images_per_second: float
    seconds: float


def train(
    config: Config | None,
    run_dir: str | Path,
    *,
    resume: bool = False,
    dataset: Dataset | None = None,
    network: Any = None,
) -> Iterator[Progress]:
    """Train a network, a step at a time.

    Leaving the loop early (``break``, Ctrl-C) saves a checkpoint first. A run that is resumed goes
    on bit for bit as if it had not been interrupted, whatever interrupted it.

    Parameters
    ----------
    config : what to train; None, when resuming, for the run's own configuration
    run_dir : the directory of the run
    resume : go on with the run in that directory; start it where nothing is there yet
    dataset : the data, if not what ``config.data`` names
    network : the freshly initialized network, if not the U-Net of ``config.model``; called as
        ``network(x, timestep, labels=..., key=...)`` where there are classes, without labels otherwise

    Returns
    -------
    iterator of Progress, one a step

    Raises
    ------
    InputError
        At once: if the configuration, the data and the directory do not fit together.
    TrainingError
        While iterating: if the loss or the gradient is no longer finite.
    MemoryError
        While iterating: if there is too little of it. The last whole step is saved.
    """
    existing = resume and (Path(run_dir) / "config.json").is_file()
    if existing:
        run = Run.open(run_dir)
        config = run.config if config is None else config
    elif config is None:
        raise InputError(f"there is no run to resume in {run_dir}")
    dataset = load_data(run.config if existing else config) if dataset is None else dataset
    if not len(dataset.images):
        raise InputError("there are no images to train on: expected one or more, got an empty set")
    config = resolve_config(config, dataset)
    xp = module(config.backend)
    _threads(config)
    network = new_model(config) if network is None else network
    dry_run(network, config)
    if existing:
        run.change(config)
    else:
        run = Run.create(run_dir, config)
    state, step, seconds = run.restore(State.initial(tree.map(xp.asarray, network)))
    if step >= config.steps:
        raise InputError(f"the run in {run_dir} has finished: {step} of {config.steps} steps")
    return _loop(run, dataset, state, step, seconds)


def resolve_config(config: Config, dataset: Dataset) -> Config:
    """The configuration with what the data settle filled in: shape, classes, channels.

    Raises
    ------
    InputError
        If the configuration says otherwise than the data.
    """
    shape, classes = tuple(dataset.images.shape[1:]), tuple(dataset.classes)
    labeled = len(classes) if len(classes) > 1 else None
    model = {"channels": shape[-1], "classes": labeled, **config.model}
    for name, stated, found in (
        ("shape", config.shape or shape, shape),
        ("classes", config.classes or classes, classes),
        ("model.channels", model["channels"], shape[-1]),
        ("model.classes", model["classes"], labeled),
    ):
        if stated != found and not (name == "model.classes" and stated is None):
            raise InputError(f"config: {name} is {stated!r}, but the data have {found!r}")
    return config.replace(shape=shape, classes=classes, model=model)


def dry_run(network: Any, config: Config) -> None:
    """Run the network once on nothing, so that what does not fit is said at once."""
    with forward_only():
        y, _ = network(
            np.zeros((1, *config.shape), dtype=np.float32),
            np.zeros(1, dtype=np.float32),
            labels=None if config.model["classes"] is None else np.zeros(1, dtype=np.int64),
            key=None,
        )
    if y.shape != (1, *config.shape):
        raise InputError(f"the network makes {y.shape[1:]} of samples of shape {config.shape}")
    schedule = SCHEDULES.resolve(config.schedule)
    try:  # where sampling starts
        PARAMETERIZATIONS.resolve(config.prediction).solve(schedule, y, y, schedule.t_max)
    except InputError as error:
        raise InputError(
            f"config: row {config.prediction!r} cannot be sampled from with schedule {config.schedule!r}, "
            "at whose end there is no signal: choose another row, v say"
        ) from error


def _threads(config: Config) -> int:
    """The threads that shards run on; a GPU wants one."""
    return 1 if config.backend == "cupy" else thread_count()


def _loop(
    run: Run, dataset: Dataset, state: State, step: int, seconds: float
) -> Iterator[Progress]:
    config, saved = run.config, step
    run.begin(step)
    with _enough_memory(run), ThreadPool(_threads(config)) as workers:
        try:
            flat = Flat.of(state, workers)
            state = state if flat is None else flat.state
            while step < config.steps:
                began = time.perf_counter()
                loss, norm, gradient = loss_and_gradient(
                    state.model, dataset, step + 1, config, workers, flat
                )
                if not (math.isfinite(loss) and math.isfinite(norm)):
                    raise _not_finite(run, step + 1, saved, loss, norm)
                new = apply_gradient(state, gradient, norm, step + 1, config, flat)
                took = time.perf_counter() - began
                seconds += took
                progress = Progress(
                    step=step + 1,
                    loss=loss,
                    grad_norm=norm,
                    learning_rate=learning_rate_at(config, step + 1),
                    images_per_second=config.batch * config.accumulate / took,
                    seconds=seconds,
                )
                run.log(progress._asdict())  # first: a state never lacks its line
                state, step = new, step + 1
                last = step == config.steps
                if config.sample_every and (step % config.sample_every == 0 or last):
                    preview(run.path, state.average, config, step, workers)
                if last:
                    save_model(run.model_path, state.average, config, step)
                if step % config.checkpoint_every == 0 or last:
                    run.save(state, step, seconds)
                    saved = step
                yield progress
        except TrainingError:
            raise  # the state may be what went wrong: the last checkpoint stays
        except BaseException:
            if saved < step:
                run.save(state, step, seconds)
            raise
        finally:
            run.close()


def _enough_memory(run: Run) -> AbstractContextManager[None]:
    config = run.config
    less = "fewer threads (NPDIFF_THREADS=1), or a new run with a smaller shard (--set shard=8)"
    if config.backend == "cupy":
        less = "a new run with a smaller batch (--batch 64)"
    return memory_explained(
        config.backend,
        f"training on batches of {config.batch}, {min(config.shard_size, config.batch)} at a time",
        f"{less}, or one that keeps less (--set model.gradient_checkpointing=true); --resume goes on "
        f"from what was saved in {run.path}",
    )


def _not_finite(run: Run, step: int, saved: int, loss: float, norm: float) -> TrainingError:
    kept = f"the state of step {saved} is kept in {run.path}" if saved else "no state was saved yet"
    config = run.config
    return TrainingError(
        f"training stopped at step {step}: the loss is {loss:g} and its gradient's norm {norm:g}; "
        f"{kept}. Start a new run with a lower learning_rate (it is {config.learning_rate:g}), "
        f"a longer warmup ({config.warmup}) or a smaller clip ({config.clip:g})"
    )
