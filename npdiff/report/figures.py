"""The figures of a finished run: samples, forward process, reverse process, loss."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npdiff import data
from npdiff.errors import InputError
from npdiff.generation import Frame, SamplingConfig
from npdiff.generation.recording import sample_frames
from npdiff.process import marginal
from npdiff.random import Key
from npdiff.report.pictures import (
    denoising_strip,
    image_grid,
    noising_strip,
    save_loss_curve,
    save_png,
)
from npdiff.report.viewer import MAX_SAMPLES, save_html
from npdiff.runs import Checkpoint, Config, Run, load_model
from npdiff.runs.dataset import load_data
from npdiff.runtime.progress import ProgressOption
from npdiff.schedules import SCHEDULES

#: Images in a strip of the forward or reverse process.
STRIP_LENGTH = 9

#: The samples of a run: how many for each class, of how many classes, and how they are sampled.
PER_CLASS, MAX_CLASSES, STEPS, GUIDANCE = 8, 10, 25, 2.0

NAMES = ("samples.png", "noising.png", "denoising.png", "denoising.html", "loss.png")


class Figure(NamedTuple):
    """A file that was written, and a line that describes it."""

    path: Path
    description: str


def is_complete(run_dir: str | Path) -> bool:
    """Whether a run directory holds every file that :func:`write` makes."""
    return all((Path(run_dir) / name).is_file() for name in NAMES)


def write(
    run_dir: str | Path,
    *,
    progress: ProgressOption = True,
    dataset: Any = None,
    network: Any = None,
    **objects: Any,
) -> list[Figure]:
    """Write the figures and the interactive page of a finished run into its directory.

    Parameters
    ----------
    run_dir : the directory of a run that has finished
    progress : True shows a progress bar, False nothing; a function is called with (done, total)
    dataset : the data of the run, if ``config.data`` was an object
    network, objects : the objects that the run was trained with, as for
        :func:`~npdiff.runs.load_model`

    Returns
    -------
    list of Figure
        ``samples.png``, ``noising.png``, ``denoising.png``, ``denoising.html`` and ``loss.png``,
        each with a description.

    Raises
    ------
    InputError
        If the directory does not hold a finished run, or a file cannot be written.
    """
    run_dir = Path(run_dir)
    checkpoint, run = load_model(run_dir, network, data=dataset, **objects), Run.open(run_dir)
    config = checkpoint.config
    samples, noising, denoising, page, loss = (run_dir / name for name in NAMES)
    if config.model.get("classes") is None:
        labels, indices, keep = None, np.arange(MAX_CLASSES * PER_CLASS), slice(MAX_SAMPLES)
        sampling, description = SamplingConfig(steps=STEPS), "samples"
    else:
        classes = min(len(config.classes), MAX_CLASSES)
        labels = np.repeat(np.arange(classes), PER_CLASS)
        indices = np.tile(np.arange(PER_CLASS), classes)
        keep = slice(None, None, PER_CLASS)
        sampling = SamplingConfig(steps=STEPS, guidance=GUIDANCE)
        description = f"samples, one row per class, guidance {GUIDANCE:g}"
    frames = sample_frames(
        checkpoint, labels, indices, sampling,
        seed=config.seed, backend=config.backend, keep=keep, progress=progress,
    )  # fmt: skip
    save_png(image_grid(frames[-1].x, PER_CLASS, scale=2), samples)
    save_png(forward_strip(config), noising)
    save_png(reverse_strip(frames), denoising)
    save_sampling_page(page, checkpoint, frames, labels, keep)
    save_loss_curve(run.metrics(), loss)
    return [
        Figure(samples, description),
        Figure(noising, "the forward process: an image becomes noise"),
        Figure(denoising, "the reverse process: x_t of the first sample, and x0_hat below"),
        Figure(page, "both processes as an interactive page for a browser"),
        Figure(loss, "the loss at every step"),
    ]


def evenly_spaced(count: int, wanted: int = STRIP_LENGTH) -> Sequence[int]:
    """Up to ``wanted`` indices below ``count``: the first, the last, and evenly spaced between.

    >>> evenly_spaced(26)
    [0, 3, 6, 9, 12, 16, 19, 22, 25]
    """
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(int)).tolist()


def reverse_strip(frames: Sequence[Frame], sample: int = 0) -> np.ndarray:
    """One sample along the reverse process: x_t above, x0_hat below; a uint8 image."""
    chosen = [frames[i] for i in evenly_spaced(len(frames))]
    x_t = np.stack([frame.x[sample] for frame in chosen])
    x0_hat = np.stack([frame.x0_hat[sample] for frame in chosen])
    return denoising_strip(x_t, x0_hat, [frame.t for frame in chosen])


def forward_strip(config: Config) -> np.ndarray:
    """The first training image along the forward process, from t = 0 to t_max; a uint8 image."""
    frames = forward_frames(config, load_data(config).images[:1], STRIP_LENGTH)
    return noising_strip(np.stack([f.x[0] for f in frames]), [f.t for f in frames])


def forward_frames(config: Config, images: np.ndarray, count: int) -> list[Frame]:
    """Draws from q(x_t | x_0) at ``count`` times from 0 to t_max, one noise array for all times."""
    schedule = SCHEDULES.resolve(config.schedule)
    x_0 = data.to_float(images)
    key = Key(config.seed, np.arange(len(images)), stream="noising")
    eps = key.normal(x_0.shape[1:]).astype(np.float32)
    timesteps = np.linspace(0.0, schedule.t_max, count)
    return [Frame(float(t), marginal(schedule, x_0, eps, t), x_0) for t in timesteps]


def save_sampling_page(
    path: str | Path,
    checkpoint: Checkpoint,
    frames: Sequence[Frame],
    labels: np.ndarray | None,
    keep: slice,
) -> None:
    """Write the interactive page with samples of a checkpoint and with training images.

    Parameters
    ----------
    path : the file, ``.html``
    checkpoint : the model
    frames : from :func:`~npdiff.generation.recording.sample_frames`, of all samples or of ``keep``
    labels : of all samples, or None
    keep : which samples the page displays
    """
    config, last = checkpoint.config, frames[-1]
    reverse = [
        Frame(f.t, f.x[keep], f.x0_hat[keep]) if len(f.x) == len(last.x) else f for f in frames
    ]
    displayed = None if labels is None else labels[keep].tolist()
    images, names = training_images(config, displayed, len(last.x[keep]))
    save_html(
        path,
        forward_frames(config, images, STEPS + 1) if len(images) else [],
        reverse,
        SCHEDULES.resolve(config.schedule),
        forward_names=names,
        reverse_names=[config.classes[label] for label in displayed or ()],
    )


def training_images(
    config: Config, labels: list[int] | None, count: int
) -> tuple[np.ndarray, list[str]]:
    """Training images with these labels and their class names; without labels the first ``count``.

    Empty if the data cannot be loaded: a model file may be used without its data.
    """
    try:
        dataset = load_data(config)
    except InputError:
        return np.empty((0, *config.shape), dtype=np.uint8), []
    if labels is None:
        return dataset.images[:count], []
    chosen = [
        i
        for label, n in Counter(labels).items()
        for i in np.flatnonzero(dataset.labels == label)[:n]
    ]
    return dataset.images[chosen], [config.classes[dataset.labels[i]] for i in chosen]
