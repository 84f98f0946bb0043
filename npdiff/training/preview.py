"""Pictures of what the averaged network makes at some step of a run."""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from npdiff.backend import to_host
from npdiff.files import explained
from npdiff.report.pictures import image_grid, save_png
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runs.config import Config
from npdiff.runtime.memory import memory_explained
from npdiff.runtime.shards import ThreadPool

_STEPS = 25
_ROWS = 4


def preview(directory: Path, model: Any, config: Config, step: int, workers: ThreadPool) -> Path:
    """Save a grid of samples by DDIM, named by the step; a class a column where there are classes.

    Every preview of a run starts from the same noise, so that they can be compared.
    """
    classes = config.model["classes"]
    columns = 10 if classes is None else min(classes, 10)
    count = _ROWS * columns
    labels = None if classes is None else np.arange(count) % columns
    remedy = "sample_every=0, with which a run may be resumed"
    with memory_explained(config.backend, f"sampling of {count} pictures on the way", remedy):
        images = draw(model, config, count, labels, workers)
    path = directory / "samples" / f"{step:06d}.png"
    with explained(path.parent, "create"):
        path.parent.mkdir(exist_ok=True)
    save_png(image_grid(images, columns), path)
    return path


def draw(
    model: Any, config: Config, count: int, labels: np.ndarray | None, workers: ThreadPool
) -> np.ndarray:
    """``count`` samples on the host, in [-1, 1]: a function of the weights and the run's seed."""
    from npdiff.generation import SamplingConfig, trajectory  # it stands on top of training

    frames = trajectory(
        Checkpoint(model, config, 0), labels, np.arange(count), SamplingConfig(steps=_STEPS),
        seed=config.seed, workers=workers, backend=config.backend,
    )  # fmt: skip
    (last,) = deque(frames, maxlen=1)
    return to_host(last.x)
