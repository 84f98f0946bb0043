"""What ``npdiff edit`` does: a trained model, images and labels to the rows of a picture."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from npdiff import data, editing
from npdiff.backend import Array, module, to_host
from npdiff.cli.common import pluralize
from npdiff.cli.originals import unknown
from npdiff.cli.sampling import sampling_config
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.generation import SamplingConfig, denoiser, start
from npdiff.random import Key
from npdiff.report import pictures
from npdiff.runs import Checkpoint
from npdiff.runtime import ThreadPool
from npdiff.runtime.progress import progress_bar
from npdiff.samplers import Steps, keyed_noise
from npdiff.schedules import SCHEDULES, Schedule, Times

#: Rows of images, bytes (rows, columns, H, W, C), and a line about them.
Result = tuple[np.ndarray, str]


@contextmanager
def model(
    arguments: argparse.Namespace,
    checkpoint: Checkpoint,
    labels: np.ndarray,
    settings: SamplingConfig,
) -> Iterator[tuple[Denoise, Schedule, np.ndarray]]:
    """The model as a denoiser, its schedule and the grid of times."""
    schedule = SCHEDULES.resolve(checkpoint.config.schedule)
    timesteps = settings.timesteps(schedule)
    with ThreadPool(1 if arguments.backend == "cupy" else None) as workers:
        yield (
            denoiser(
                checkpoint, labels if labels.size else None, settings, schedule,
                workers=workers, backend=arguments.backend,
            ),
            schedule,
            timesteps,
        )  # fmt: skip


def placed(images: np.ndarray, arguments: argparse.Namespace) -> Array:
    """Bytes as the numbers a model works with, where it works."""
    return module(arguments.backend).asarray(data.to_float(images))


def watched(steps: Steps, total: int, about: str) -> Array:
    """The last state, under a progress bar that counts what asks the model."""
    x, t = None, np.inf
    with progress_bar(total, "step", about) as progress:
        for step in steps:
            progress.update(step.t < t)
            x, t = step.x, step.t
    return x


def inpaint(
    arguments: argparse.Namespace, checkpoint: Checkpoint, images: np.ndarray, labels: np.ndarray
) -> Result:
    """Each row: the image, what is known of it, the results."""
    settings, count = sampling_config(arguments), arguments.count
    anew = unknown(arguments, checkpoint.config.shape)
    known = placed(np.repeat(images, count, axis=0), arguments)
    key = Key(arguments.seed, np.arange(len(known)), stream="inpaint")
    wanted = np.repeat(labels, count)
    with model(arguments, checkpoint, wanted, settings) as (denoise, schedule, timesteps):
        x = start(key, schedule, checkpoint, timesteps[0], module(arguments.backend))
        how = {"jump": arguments.jump, "resamplings": arguments.resamplings}
        steps = editing.inpaint(
            denoise, schedule, x, timesteps, known=known, mask=~anew,
            noise=keyed_noise(key.fold("move"), x), sampler=settings.sampler,
            **how, **settings.options,
        )  # fmt: skip
        end = watched(steps, editing.evaluations(len(timesteps) - 1, **how), "inpainting")
    results = pictures.to_uint8(end).reshape(len(images), count, *images.shape[1:])
    shown = np.where(anew, np.uint8(128), images)
    rows = np.concatenate([images[:, None], shown[:, None], results], axis=1)
    return rows, f"the image, what is known of it, {pluralize(count, 'result')}, {in_rows(images)}"


def in_rows(images: np.ndarray) -> str:
    """How many rows the picture has, one for each image."""
    return f"in {pluralize(len(images), 'row')}"


def sdedit(
    arguments: argparse.Namespace, checkpoint: Checkpoint, images: np.ndarray, labels: np.ndarray
) -> Result:
    """Each row: the image, then its edits from the weakest on."""
    settings, strengths = sampling_config(arguments), _strengths(arguments.strength)
    x_0 = placed(images, arguments)
    noise = keyed_noise(Key(arguments.seed, np.arange(len(images)), stream="sdedit"), x_0)
    rows = [images]
    with model(arguments, checkpoint, labels, settings) as (denoise, schedule, timesteps):
        for strength in strengths:
            steps = editing.sdedit(
                denoise, schedule, x_0, timesteps, noise=noise, strength=strength,
                sampler=settings.sampler, **settings.options,
            )  # fmt: skip
            total = len(timesteps) - 1 - editing.start_of(timesteps, strength)
            rows.append(pictures.to_uint8(watched(steps, total, f"strength {strength:g}")))
    words = ", ".join(f"{s:g}" for s in strengths)
    return np.stack(rows, axis=1), f"the image, then strength {words}, {in_rows(images)}"


def _strengths(text: str) -> list[float]:
    try:
        return sorted(float(word) for word in text.split(","))
    except ValueError:
        raise InputError(f"--strength {text}: expected numbers above 0 and up to 1") from None


def invert(
    arguments: argparse.Namespace, checkpoint: Checkpoint, images: np.ndarray, labels: np.ndarray
) -> Result:
    """Each row: the image, the noise that leads to it, the image again."""
    x_0 = placed(images, arguments)
    with model(arguments, checkpoint, labels, inversion(arguments)) as (
        denoise,
        schedule,
        timesteps,
    ):
        noise = encoded(denoise, schedule, x_0, timesteps, arguments.corrections)
        back = decoded(denoise, schedule, noise, timesteps)
    error = np.sqrt(((to_host(back) - to_host(x_0)) ** 2).mean())
    # noise at half of its size: two deviations are black and white
    rows = [images, pictures.to_uint8(0.5 * noise), pictures.to_uint8(back)]
    about = f"the image, its noise, the image again; off by {127.5 * error:.2f} of 255 levels"
    return np.stack(rows, axis=1), f"{about} (root mean square)"


def interpolate(
    arguments: argparse.Namespace, checkpoint: Checkpoint, images: np.ndarray, labels: np.ndarray
) -> Result:
    """One row: from the first image to the second."""
    if len(images) != 2:
        raise InputError(f"an interpolation goes from one image to another: got {len(images)}")
    w = np.linspace(0.0, 1.0, arguments.count)
    x_0 = placed(images, arguments)
    settings = inversion(arguments)
    with model(arguments, checkpoint, labels, settings) as (denoise, schedule, timesteps):
        ends = encoded(denoise, schedule, x_0, timesteps, arguments.corrections)
    a, b = (ends[i : i + 1].repeat(w.size, axis=0) for i in (0, 1))
    between = labels[np.round(w).astype(int)] if labels.size else labels
    with model(arguments, checkpoint, between, settings) as (denoise, schedule, timesteps):
        row = decoded(denoise, schedule, editing.slerp(a, b, w), timesteps)
    return pictures.to_uint8(row)[None], f"{w.size} images from the first to the second"


def encoded(
    denoise: Denoise, schedule: Schedule, x_0: Array, timesteps: np.ndarray, corrections: int
) -> Array:
    """The noise of images, under a progress bar."""
    with progress_bar(
        (len(timesteps) - 1) * (1 + corrections), "evaluation", "to noise"
    ) as progress:
        asked = counting(denoise, progress)
        return editing.encode(asked, schedule, x_0, timesteps, corrections=corrections)


def decoded(denoise: Denoise, schedule: Schedule, x: Array, timesteps: np.ndarray) -> Array:
    """The images of noise, under a progress bar."""
    with progress_bar(len(timesteps) - 1, "evaluation", "and back") as progress:
        return editing.decode(counting(denoise, progress), schedule, x, timesteps)


def counting(denoise: Denoise, progress: Any) -> Denoise:
    """A denoiser that moves a progress bar whenever it is asked."""

    def asked(x: Array, t: Times) -> tuple[Array, Array]:
        answer = denoise(x, t)
        progress.update()
        return answer

    return asked


def inversion(arguments: argparse.Namespace) -> SamplingConfig:
    """DDIM both ways. What is clipped cannot be undone."""
    return SamplingConfig(
        steps=arguments.steps, spacing=arguments.spacing, guidance=arguments.guidance, clip=False
    )


#: The ways to edit, by name.
EDITS: dict[str, Callable[[argparse.Namespace, Checkpoint, np.ndarray, np.ndarray], Result]] = {
    "inpaint": inpaint,
    "sdedit": sdedit,
    "invert": invert,
    "interpolate": interpolate,
}
