"""One training step: the loss and gradient over the shards of a batch, then the update."""

from contextlib import nullcontext
from typing import Any

import numpy as np

from npdiff import data, objective, tree
from npdiff.acceleration import frozen_weights, kernels_allowed
from npdiff.backend import module, to_host
from npdiff.data import Dataset
from npdiff.objective import Objective
from npdiff.objective.hybrid import hybrid_loss
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.runs.config import Config
from npdiff.runtime.shards import SINGLE_MACHINE, Reduction
from npdiff.runtime.threads import ThreadPool
from npdiff.schedules import SCHEDULES
from npdiff.slices import split_range
from npdiff.training.flat import Flat
from npdiff.training.optimizer import (
    State,
    adamw,
    clip,
    clip_factor,
    ema,
    ema_decay,
    global_norm,
    learning_rate,
)

__all__ = ["State", "apply_gradient", "learning_rate_at", "loss_and_gradient", "objective_of"]


def apply_gradient(
    state: State,
    gradient: Any,
    norm: float,
    step: int,
    config: Config,
    flat: Flat | None = None,
) -> State:
    """The state after a step, given the gradient and its norm.

    With ``flat``, the memory of the run, the update is one pass without allocations; it overwrites
    the state before ``state``.
    """
    options: dict[str, Any] = {
        "step": step,
        "learning_rate": learning_rate_at(config, step),
        "betas": config.betas,
        "weight_decay": config.weight_decay,
    }
    decay = ema_decay(step, config.ema)
    if flat is not None and kernels_allowed():
        factor = clip_factor(norm, config.clip)
        return flat.apply_gradient(
            state, gradient, clip_factor=factor, average_decay=decay, **options
        )
    model, moments = adamw(state.model, clip(gradient, norm, config.clip), state.moments, **options)
    return State(model=model, average=ema(state.average, model, decay), moments=moments)


def learning_rate_at(config: Config, step: int) -> float:
    """The learning rate of a step."""
    return learning_rate(
        step,
        peak=config.learning_rate,
        steps=config.steps,
        warmup=config.warmup_steps,
        decay=config.decay,
    )


def loss_and_gradient(
    model: Any,
    dataset: Dataset,
    step: int,
    config: Config,
    workers: ThreadPool,
    flat: Flat | None = None,
    reduction: Reduction = SINGLE_MACHINE,
) -> tuple[float, float, Any]:
    """The loss of a step's batch, the norm of its gradient, and the gradient.

    Every random choice (the samples, their times, noise, dropout and dropped labels) is a function
    of the seed, the step and the sample's index in the batch. A batch is split into shards of
    ``config.shard`` samples; on a GPU it is one shard.

    Parameters
    ----------
    model : called as ``model(x, timestep, labels=..., key=...)``, returns ``(y, pullback)``
    dataset : the data
    step : its number, from 1
    config : the run's configuration, filled in from the data
    workers : the threads that run the shards
    flat : the memory of the run, if there is one
    reduction : sums over the shards of this machine and of others

    Returns
    -------
    loss, norm : floats on the host; a step reads nothing else from a device
    gradient : a tree like ``model``; with ``flat`` it stays in that memory until the next update
    """
    total = config.batch * config.accumulate
    chosen = data.batch_indices(config.seed, step - 1, total, len(dataset.images))
    target = objective_of(config)
    xp, dtype = module(config.backend), tree.dtype(model)

    def run(shard: slice) -> tuple[Any, Any]:
        rows, count = chosen[shard], shard.stop - shard.start
        key = Key(config.seed, np.arange(shard.start, shard.stop), step, "train")
        x_0 = data.to_float(xp.asarray(dataset.images[rows]), dtype)
        example = target.example(x_0, key)
        labels = _labels(dataset.labels[rows], key, config)
        if labels is not None:
            labels = xp.asarray(labels)
        y, model_pullback = model(
            example.network_input, example.timestep, labels=labels, key=key.fold("dropout")
        )
        if config.learn_variance:
            loss, loss_pullback = hybrid_loss(y, example=example, objective=target, x_0=x_0)
        else:
            loss, loss_pullback = objective.loss(y, example=example)
        (dy,) = loss_pullback(count / total)
        return loss * (count / total), model_pullback(dy)[0]

    shards = split_range(total, config.shard_size)
    # A cache of all weights in kernel form takes four times their memory; it serves later shards.
    with frozen_weights() if len(shards) > workers.threads else nullcontext():
        if flat is not None and kernels_allowed():
            loss, norm, gradient = flat.sum(run, shards, reduction)
        else:
            loss, gradient = tree.map(reduction.total, workers.sum(run, shards))
            with workers.one_blas_thread():
                norm = global_norm(gradient)
    loss, norm = to_host(xp.stack([loss.astype(xp.float64), norm])).tolist()
    return loss, norm, gradient


def objective_of(config: Config) -> Objective:
    """The training objective of a configuration."""
    return Objective(
        SCHEDULES.resolve(config.schedule),
        PARAMETERIZATIONS.resolve(config.prediction),
        objective.WEIGHTINGS.resolve(config.weighting),
        objective.TIME_SAMPLERS.resolve(config.time_sampler),
    )


def _labels(labels: np.ndarray, key: Key, config: Config) -> np.ndarray | None:
    """The labels with a fraction replaced by the null label, whose index is ``classes``.

    Ho and Salimans, *Classifier-free diffusion guidance* (2022), Algorithm 1.
    """
    classes = config.model.get("classes")
    if classes is None:
        return None
    dropped = key.fold("label").uniform() < config.label_drop
    return np.where(dropped, classes, labels)
