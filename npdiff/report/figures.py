"""The pictures of a run: samples, an image becoming noise, noise becoming an image, the loss."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from npdiff import data
from npdiff.backend import to_host
from npdiff.errors import InputError
from npdiff.generation import Frame, SamplingConfig, enough_memory, resolve_labels, trajectory
from npdiff.process import marginal
from npdiff.random import Key
from npdiff.report import pictures, viewer
from npdiff.runs import Checkpoint, Config, Run, load_model
from npdiff.runs.dataset import load_data
from npdiff.runtime import ThreadPool
from npdiff.runtime.progress import progress_bar
from npdiff.schedules import SCHEDULES

#: Moments in a strip; the samples of a run: how many of a class, of how many classes, and how.
MOMENTS, COLUMNS, PARAMETERIZATIONS, STEPS, GUIDANCE = 9, 8, 10, 25, 2.0

NAMES = ("samples.png", "noising.png", "denoising.png", "denoising.html", "loss.png")


def complete(path: Path) -> bool:
    """Whether the pictures are there already."""
    return all((path / name).is_file() for name in NAMES)


def draw(path: Path) -> Iterator[tuple[Path, str]]:
    """Draw the pictures of a finished run into its folder; each path with a line about it."""
    checkpoint, run = load_model(path), Run.open(path)
    samples, noising, denoising, page, loss = (path / name for name in NAMES)
    if checkpoint.config.model.get("classes") is None:
        labels, indices, watch = None, np.arange(PARAMETERIZATIONS * COLUMNS), slice(viewer.SAMPLES)
        settings, what = SamplingConfig(steps=STEPS), "samples"
    else:
        rows = min(len(checkpoint.config.classes), PARAMETERIZATIONS)
        labels, indices = np.repeat(np.arange(rows), COLUMNS), np.tile(np.arange(COLUMNS), rows)
        settings, watch = SamplingConfig(steps=STEPS, guidance=GUIDANCE), slice(None, None, COLUMNS)
        what = f"samples, a class a row, guidance {GUIDANCE:g}"
    seed, backend = checkpoint.config.seed, checkpoint.config.backend
    frames = record(checkpoint, labels, indices, settings, seed=seed, backend=backend, watch=watch)
    pictures.save_png(pictures.grid(frames[-1].x, COLUMNS, scale=2), samples)
    yield samples, what
    pictures.save_png(noising_of(checkpoint.config), noising)
    yield noising, "an image on its way to noise"
    pictures.save_png(strip(frames), denoising)
    yield denoising, "noise on its way to the first sample: x_t, and the estimate of x_0 below"
    save_viewer(page, checkpoint, frames, labels, watch)
    yield page, "both, to scrub through in a browser"
    pictures.loss_curve(run.metrics(), loss)
    yield loss, "the loss of every step"


def record(
    checkpoint: Checkpoint,
    labels: np.ndarray | None,
    indices: np.ndarray,
    settings: SamplingConfig,
    *,
    seed: int,
    backend: str,
    watch: slice | None = None,
) -> list[Frame]:
    """The frames of sampling on the host, under a progress bar that counts steps and evaluations.

    Of all frames but the last only the samples ``watch`` are kept, or all of them.
    """
    labels, indices = resolve_labels(checkpoint, labels, indices=indices)
    kept, evaluations = [], itertools.count(1)
    progress = progress_bar(settings.steps, "step", f"sampling {len(indices)}")

    def asked() -> None:
        progress.set_postfix_str(f"{next(evaluations)} evaluations", refresh=False)

    workers = ThreadPool(1 if backend == "cupy" else None)
    with workers, enough_memory(len(indices), backend):
        frames = trajectory(
            checkpoint, labels, indices, settings,
            seed=seed, backend=backend, workers=workers, callback=asked,
        )  # fmt: skip
        with progress:
            for frame in frames:
                rows = slice(None) if frame.t == 0.0 or watch is None else watch
                kept.append(Frame(frame.t, to_host(frame.x)[rows], to_host(frame.x0_hat)[rows]))
                progress.update(frame.t > 0.0)
    return kept


def moments(count: int) -> Sequence[int]:
    """Which of ``count`` frames a strip shows: the first, the last and evenly between."""
    return np.unique(np.linspace(0, count - 1, min(count, MOMENTS)).round().astype(int)).tolist()


def strip(frames: Sequence[Frame], sample: int = 0) -> np.ndarray:
    """One sample as it emerges: x_t above, the estimate of x_0 below."""
    shown = [frames[i] for i in moments(len(frames))]
    x_t = np.stack([frame.x[sample] for frame in shown])
    x_0 = np.stack([frame.x0_hat[sample] for frame in shown])
    return pictures.denoising_strip(x_t, x_0, [frame.t for frame in shown])


def noising_of(config: Config) -> np.ndarray:
    """The first image of the data at times from 0 to t_max."""
    frames = noised(config, load_data(config).images[:1], MOMENTS)
    return pictures.noising_strip(np.stack([f.x[0] for f in frames]), [f.t for f in frames])


def noised(config: Config, images: np.ndarray, count: int) -> list[Frame]:
    """Images at ``count`` times from 0 to t_max, each with one draw of noise."""
    schedule = SCHEDULES.resolve(config.schedule)
    x_0 = data.to_float(images)
    key = Key(config.seed, np.arange(len(images)), stream="noising")
    eps = key.normal(x_0.shape[1:]).astype(np.float32)
    timesteps = np.linspace(0.0, schedule.t_max, count)
    return [Frame(float(t), marginal(schedule, x_0, eps, t), x_0) for t in timesteps]


def save_viewer(
    path: Path,
    checkpoint: Checkpoint,
    frames: Sequence[Frame],
    labels: np.ndarray | None,
    rows: slice,
) -> None:
    """The page on which one scrubs through the samples ``rows``, and through real images beside.

    Parameters
    ----------
    path : the file
    checkpoint : the model
    frames : from :func:`record`, which has kept these samples or all
    labels : of all samples, or None
    rows : which samples to show
    """
    config, last = checkpoint.config, frames[-1]
    reverse = [
        Frame(f.t, f.x[rows], f.x0_hat[rows]) if len(f.x) == len(last.x) else f for f in frames
    ]
    shown = None if labels is None else labels[rows].tolist()
    images, names = real(config, shown, len(last.x[rows]))
    viewer.save_html(
        path,
        noised(config, images, STEPS + 1) if len(images) else [],
        reverse,
        SCHEDULES.resolve(config.schedule),
        forward_names=names,
        reverse_names=[config.classes[label] for label in shown or ()],
    )


def real(config: Config, labels: list[int] | None, count: int) -> tuple[np.ndarray, list[str]]:
    """Real images of these labels, with their names; or any ``count``, if there are no labels.

    None at all where the data are gone: a model travels without them.
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
