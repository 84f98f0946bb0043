"""Images of samples of the averaged network during a run."""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from npdiff.backend import to_host
from npdiff.files import explain_file_errors
from npdiff.generation import SamplingConfig, trajectory
from npdiff.report.pictures import image_grid, save_png
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runs.config import Config
from npdiff.runtime.memory import explain_memory_errors
from npdiff.runtime.threads import ThreadPool

_STEPS = 25
_ROWS = 4


def preview(directory: Path, model: Any, config: Config, step: int, workers: ThreadPool) -> Path:
    """Save a grid of DDIM samples, named by the step, with one column per class.

    Every preview of a run starts from the same noise, so previews can be compared.
    """
    classes = config.model["classes"]
    columns = 10 if classes is None else min(classes, 10)
    count = _ROWS * columns
    labels = None if classes is None else np.arange(count) % columns
    remedy = "sample_every=0, which may change when a run is resumed"
    with explain_memory_errors(config.backend, f"sampling of {count} preview images", remedy):
        images = draw(model, config, count, labels, workers)
    path = directory / "samples" / f"{step:06d}.png"
    with explain_file_errors(path.parent, "create"):
        path.parent.mkdir(exist_ok=True)
    save_png(image_grid(images, columns), path)
    return path


def draw(
    model: Any, config: Config, count: int, labels: np.ndarray | None, workers: ThreadPool
) -> np.ndarray:
    """``count`` samples on the host, in [-1, 1]: a function of the weights and the run's seed."""
    frames = trajectory(
        Checkpoint(model, config, 0), labels, np.arange(count), SamplingConfig(steps=_STEPS),
        seed=config.seed, workers=workers, backend=config.backend,
    )  # fmt: skip
    (last,) = deque(frames, maxlen=1)
    return to_host(last.x)
