"""One step of training: the loss and its gradient over the shards of a batch, and the update."""

from typing import Any

import numpy as np

from npdiff import data, objective, tree
from npdiff.backend import module, to_host
from npdiff.data import Dataset
from npdiff.objective import Objective
from npdiff.parameterisation import ROWS
from npdiff.random import Key
from npdiff.schedules import SCHEDULES
from npdiff.train.config import Config
from npdiff.train.optimiser import Moments, adamw, clip, ema, ema_decay, global_norm, learning_rate
from npdiff.train.shards import Workers, split
from npdiff.tree import Module


class State(Module):
    """Everything that the next step depends on, besides its number and the configuration."""

    model: Any
    average: Any
    moments: Any

    @classmethod
    def initial(cls, model: Any) -> "State":
        """The state before the first step: the average starts at the weights."""
        return cls(model=model, average=model, moments=Moments.zero(model))


def advance(
    state: State,
    gradient: Any,
    norm: float,
    step: int,
    config: Config,
) -> State:
    """The state after a step, given the gradient and its norm."""
    model, moments = adamw(
        state.model,
        clip(gradient, norm, config.clip),
        state.moments,
        step=step,
        learning_rate=rate(config, step),
        betas=config.betas,
        weight_decay=config.weight_decay,
    )
    average = ema(state.average, model, ema_decay(step, config.ema))
    return State(model=model, average=average, moments=moments)


def rate(config: Config, step: int) -> float:
    """The learning rate of a step."""
    return learning_rate(
        step,
        peak=config.learning_rate,
        steps=config.steps,
        warmup=config.warmup,
        decay=config.decay,
    )


def loss_and_gradient(
    model: Any, dataset: Dataset, step: int, config: Config, workers: Workers
) -> tuple[float, float, Any]:
    """The loss of a step's batch, the norm of its gradient, and the gradient.

    Every draw - which samples, their times, noise, dropout and dropped labels - is a function of
    the seed, the step and the sample's place in the batch. A batch is cut into shards of
    ``config.shard`` samples; on a GPU it is one shard.

    Parameters
    ----------
    model : called as ``model(x, clock, labels=..., key=...)``, returns ``(y, pullback)``
    dataset : the data
    step : its number, from 1
    config : the run's configuration, filled in from the data
    workers : where shards run

    Returns
    -------
    loss, norm : numbers on the host; the only ones a step reads from a device
    gradient : a tree like ``model``
    """
    total = config.batch * config.accumulate
    chosen = data.batch_indices(config.seed, step - 1, total, len(dataset.images))
    target = Objective(
        SCHEDULES[config.schedule](),
        ROWS[config.row],
        objective.WEIGHTINGS[config.weighting],
        objective.TIMES[config.times],
    )
    xp, dtype = module(config.backend), tree.leaves(model)[0].dtype.type

    def run(shard: slice) -> tuple[Any, Any]:
        rows, count = chosen[shard], shard.stop - shard.start
        key = Key(config.seed, np.arange(shard.start, shard.stop), step, "train")
        x_0 = data.to_float(xp.asarray(dataset.images[rows]), dtype)
        example = target.example(x_0, key)
        labels = _labels(dataset.labels[rows], key, config)
        if labels is not None:
            labels = xp.asarray(labels)
        y, model_vjp = model(example.shown, example.clock, labels=labels, key=key.fold("dropout"))
        loss, loss_vjp = objective.loss(y, example=example)
        (dy,) = loss_vjp(count / total)
        return loss * (count / total), model_vjp(dy)[0]

    loss, gradient = workers.sum(run, split(total, config.shard_size))
    with workers.one_blas_thread():
        norm = global_norm(gradient)
    loss, norm = to_host(xp.stack([loss.astype(xp.float64), norm])).tolist()
    return loss, norm, gradient


def _labels(labels: np.ndarray, key: Key, config: Config) -> np.ndarray | None:
    """The labels the network is told: some give way to the null label, which is number ``classes``.

    Ho and Salimans, *Classifier-free diffusion guidance* (2022), Algorithm 1.
    """
    classes = config.model.get("classes")
    if classes is None:
        return None
    dropped = key.fold("label").uniform() < config.label_drop
    return np.where(dropped, classes, labels)
