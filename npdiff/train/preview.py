"""Pictures of what the averaged network makes at some step of a run."""

from pathlib import Path
from typing import Any

import numpy as np

from npdiff import pictures, tree
from npdiff.backend import Array, module, to_host
from npdiff.denoiser import Denoiser, clipped
from npdiff.files import explained
from npdiff.grids import trailing
from npdiff.parameterisation import ROWS
from npdiff.random import Key
from npdiff.samplers import ddim
from npdiff.schedules import SCHEDULES
from npdiff.train.config import Config
from npdiff.train.shards import Workers, forward

_STEPS = 25
_ROWS = 4


def preview(directory: Path, model: Any, config: Config, step: int, workers: Workers) -> Path:
    """Save a grid of samples by DDIM, named by the step; a class a column where there are classes.

    Every preview of a run starts from the same noise, so that they can be compared.
    """
    classes = config.model["classes"]
    columns = 10 if classes is None else min(classes, 10)
    count = _ROWS * columns
    labels = None if classes is None else np.arange(count) % columns
    images = draw(model, config, count, labels, workers)
    path = directory / "samples" / f"{step:06d}.png"
    with explained(path.parent, "create"):
        path.parent.mkdir(exist_ok=True)
    pictures.save_png(pictures.grid(images, columns), path)
    return path


def draw(
    model: Any, config: Config, count: int, labels: np.ndarray | None, workers: Workers
) -> np.ndarray:
    """``count`` samples on the host, in [-1, 1]: a function of the weights and the run's seed."""
    xp = module(config.backend)
    schedule = SCHEDULES[config.schedule]()
    beside = None if labels is None else xp.asarray(labels)

    def network(x: Array, clock: Array) -> Array:
        return forward(model, x, clock, workers=workers, size=config.shard_size, labels=beside)

    denoise = clipped(Denoiser(network, schedule, ROWS[config.row]), schedule)
    x = Key(config.seed, np.arange(count), stream="preview").normal(config.shape, xp)
    x = x.astype(tree.leaves(model)[0].dtype)
    for last in ddim(denoise, schedule, x, trailing(schedule, _STEPS)):
        x = last.x
    return to_host(x)
