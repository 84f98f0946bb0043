"""The training loop: a generator of one record per step; the files are complete at any moment."""

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npdiff import tree
from npdiff.backend import module
from npdiff.data import Dataset, check_dataset
from npdiff.errors import InputError, TrainingError
from npdiff.options import spell
from npdiff.pullback import forward_only
from npdiff.random import Key
from npdiff.runs.checkpoint import (
    check_network,
    describe_network,
    is_unet,
    new_model,
    save_model,
)
from npdiff.runs.config import Config
from npdiff.runs.dataset import load_data
from npdiff.runs.run import Run
from npdiff.runtime.memory import explain_memory_errors
from npdiff.runtime.threads import ThreadPool, thread_count
from npdiff.training.flat import Flat
from npdiff.training.network_checks import check_gradients, evaluate_once
from npdiff.training.preview import preview
from npdiff.training.step import (
    State,
    apply_gradient,
    learning_rate_at,
    loss_and_gradient,
    objective_of,
)


class Progress(NamedTuple):
    """The record of one step.

    Attributes
    ----------
    step : its number, from 1
    loss : the mean weighted loss of its samples
    grad_norm : the norm of the gradient, before clipping
    learning_rate : of this step
    images_per_second : of this step
    seconds : of training so far, including earlier sessions of a resumed run
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
    dataset: Any = None,
    network: Any = None,
) -> Iterator[Progress]:
    """Train a network one step at a time; :func:`~npdiff.training.fit` trains it to the end.

    Leaving the loop early (``break``, Ctrl-C) saves a checkpoint first. A resumed run continues bit
    for bit as if it had not been interrupted.

    Parameters
    ----------
    config : the configuration; None, when resuming, for that of the run
    run_dir : the directory of the run
    resume : continue the run in that directory; start it if there is none yet
    dataset : the data, if they are not those of ``config.data``: a name, a dictionary of a name
        and options, or a :class:`~npdiff.data.Dataset`
    network : a freshly initialized network, if it is not that of the configuration: a
        :class:`npdiff.tree.Module`, called as ``network(x, timestep, labels=..., key=...)``, with
        labels None if there are no classes. It returns ``(y, pullback)``, and ``pullback(dy)`` the
        gradients of network, x and timestep. Or a name in :data:`npdiff.nn.NETWORKS`

    Returns
    -------
    iterator of Progress, one per step

    Raises
    ------
    InputError
        At once, if the configuration, the data, the network and the directory do not fit together.
    TrainingError
        While iterating, if the loss or the gradient is not finite.
    MemoryError
        While iterating, if memory runs out. The last complete step is saved.
    """
    existing = resume and (Path(run_dir) / "config.json").is_file()
    if existing:
        run = Run.open(run_dir)
        config = run.config if config is None else config
    elif config is None:
        raise InputError(
            f"there is no run to resume in {run_dir}: pass a configuration to start one"
        )
    if dataset is not None:
        config = config.replace(data=dataset)
    if not hasattr(dataset, "images"):
        named = existing and dataset is None and isinstance(config.data, str | dict)
        dataset = load_data(run.config if named else config)
    dataset = check_dataset(dataset)
    if existing and config.warmup is None:
        config = config.replace(warmup=run.config.warmup)
    config = resolve_config(config, dataset)
    if isinstance(network, str | dict):
        config, network = config.replace(network=network), None
    if existing:
        check_network(run.config, network, f"the run in {run_dir}")
    if network is not None and not is_unet(network, config):
        config = config.replace(network=describe_network(network))
    xp = module(config.backend)
    _threads(config)
    network = new_model(config) if network is None else network
    dry_run(network, config)
    if config.network is not None:
        check_gradients(network, config)
    if existing:
        run.change(config)
    else:
        run = Run.create(run_dir, config)
    state, step, seconds = run.restore(State.initial(tree.map(xp.asarray, network)))
    if step >= config.steps:
        raise InputError(f"the run in {run_dir} has finished: {step} of {config.steps} steps")
    return _loop(run, dataset, state, step, seconds)


def resolve_config(config: Config, dataset: Dataset) -> Config:
    """The configuration with the fields that the data decide: shape, classes, channels.

    Raises
    ------
    InputError
        If the configuration states other values.
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
    return config.replace(shape=shape, classes=classes, model=model, warmup=config.warmup_steps)


def dry_run(network: Any, config: Config) -> None:
    """Run the network once on zeros and build the objective, so that errors come at once."""
    objective = objective_of(config)
    schedule, channels = objective.schedule, config.shape[-1]
    with forward_only():
        y, _ = evaluate_once(network, config)
    times = objective.draw_times(Key(config.seed, np.arange(2), stream="check"))
    if np.shape(times) != (2,):
        raise InputError(
            f"time sampler {spell(config.time_sampler)!r} must return one time per sample, shape "
            f"(2,), got shape {np.shape(times)}"
        )
    objective.weights(times)
    out = (*config.shape[:-1], channels * (2 if config.learn_variance else 1))
    if y.shape != (1, *out):
        raise InputError(
            f"the network returns shape {tuple(y.shape[1:])} for samples of shape {config.shape}: "
            f"expected {out}"
        )
    if config.learn_variance and (schedule.steps is None or schedule.steps < 2):
        raise InputError(
            f"config: learn_variance needs a discrete schedule, and {spell(config.schedule)} is "
            "not: choose cosine or linear"
        )
    y = y[..., :channels]
    try:  # where sampling starts
        objective.parameterization.solve(schedule, y, y, schedule.t_max)
    except InputError as error:
        raise InputError(
            f"config: prediction {spell(config.prediction)!r} cannot recover x_0 at the end of "
            f"schedule {spell(config.schedule)!r}, where there is no signal: choose v or x0"
        ) from error


def _threads(config: Config) -> int:
    """The number of threads for the shards; one for a GPU."""
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
                run.log(progress._asdict())  # first, so that every saved state has its line
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
            raise  # the state may be at fault: the last checkpoint stays
        except BaseException:
            if saved < step:
                run.save(state, step, seconds)
            raise
        finally:
            run.close()


def _enough_memory(run: Run) -> AbstractContextManager[None]:
    config = run.config
    smaller = "fewer threads (NPDIFF_THREADS=1), or a new run with a smaller shard (--set shard=8)"
    if config.backend == "cupy":
        smaller = "a new run with a smaller batch (--batch 64)"
    return explain_memory_errors(
        config.backend,
        f"training on batches of {config.batch}, {min(config.shard_size, config.batch)} at a time",
        f"{smaller}, or one that saves less (--set model.gradient_checkpointing=true); --resume "
        f"continues from the checkpoint in {run.path}",
    )


def _not_finite(run: Run, step: int, saved: int, loss: float, norm: float) -> TrainingError:
    kept = f"the state of step {saved} is kept in {run.path}" if saved else "no state was saved yet"
    config = run.config
    return TrainingError(
        f"training stopped at step {step}: the loss is {loss:g} and its gradient's norm {norm:g}; "
        f"{kept}. Start a new run with a lower learning_rate (it is {config.learning_rate:g}), "
        f"a longer warmup ({config.warmup}) or a smaller clip ({config.clip:g})"
    )
