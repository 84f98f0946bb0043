"""``npdiff sample``: pictures from a trained model."""

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np

from npdiff import report
from npdiff.cli.common import add_computing, add_seed, command, counted, output, said, whole
from npdiff.cli.sampling import add_model, add_sampling, list_of_samplers, sampling_config
from npdiff.errors import InputError
from npdiff.files import atomic
from npdiff.generation import load
from npdiff.generation.recording import sample_frames
from npdiff.report.viewer import MAX_SAMPLES
from npdiff.runs import Checkpoint

DETAILS = f"""\
examples:
  npdiff sample --label 7 --guidance 3 --count 16 --out sevens.png
  npdiff sample runs/digits --label all --count 8 --out digits.png --gif digits.gif
  npdiff sample --label 3,1,4 --sampler ddpm --steps 250 --strip three.png --html watch.html
  npdiff sample --sampler dpmpp-multistep --option order=3 --steps 15

Guidance w: eps = eps_uncond + w (eps_cond - eps_uncond). 0 ignores the label, 1 is the model as it
was trained, 2 to 4 gives clearer and less varied samples. It costs two evaluations a step. Where
much guidance makes images glaring: --rescale 0.7, --threshold 0.995 or --interval 0.3 5.

Samplers, with their options (--option KEY=VALUE) and defaults. ddim is good from 20 steps on, the
methods of higher order from 10; ddpm and the others with fresh noise want more, up to hundreds.
ode is slow: it asks the model hundreds of times, however few the steps.

{list_of_samplers()}

A sample depends on the model, the label, these settings, the seed and its number, and on nothing
else: --count 4 gives the first four of --count 16. In the grid a row is a label, and a column
starts from the same noise."""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "sample", "make images with a trained model", DETAILS)
    add_model(parser)
    parser.add_argument(
        "--label", default="all", metavar="LABEL",
        help="what to make: a class, several as in 3,1,4, all (default), or none for samples "
        "without a label",
    )  # fmt: skip
    parser.add_argument(
        "--count", type=whole(1), default=8, metavar="N", help="images of each label (default: 8)"
    )
    add_sampling(parser, steps=50, listed="see below")
    add_seed(parser, "of the noise: the same seed, the same images (default: 0)")
    add_computing(parser)
    parser.add_argument(
        "--out", default="samples.png", metavar="FILE.png",
        help="the grid of images (default: samples.png)",
    )  # fmt: skip
    parser.add_argument(
        "--scale", type=whole(1), default=2, metavar="N",
        help="draw each pixel N wide and high (default: 2)",
    )  # fmt: skip
    parser.add_argument("--gif", metavar="FILE.gif", help="the grid as it emerges from the noise")
    parser.add_argument(
        "--strip", metavar="FILE.png",
        help="the first image step by step: x_t above, the estimate of x_0 below",
    )  # fmt: skip
    parser.add_argument(
        "--html", metavar="FILE.html",
        help="noising and denoising to scrub through in a browser: a sample of each label, or "
        "several of one",
    )  # fmt: skip
    parser.add_argument(
        "--npz", metavar="FILE.npz",
        help="the images as numbers: images (uint8), labels, classes; `npdiff train --data` reads "
        "it",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sample, and write what was asked for."""
    out = output(arguments.out, ".png")
    gif = arguments.gif and output(arguments.gif, ".gif")
    single = arguments.strip and output(arguments.strip, ".png")
    html = arguments.html and output(arguments.html, ".html")
    npz = arguments.npz and output(arguments.npz, ".npz")
    checkpoint = load(arguments.model)
    wanted = labels_of(arguments.label, checkpoint)
    labels = None if wanted is None else np.repeat(wanted, arguments.count)
    settings = sampling_config(arguments)
    rows = 1 if wanted is None else len(wanted)
    few = slice(MAX_SAMPLES) if rows == 1 else slice(None, None, arguments.count)
    keep = None if gif else few if html else slice(1)
    frames = sample_frames(
        checkpoint, labels, np.tile(np.arange(arguments.count), rows), settings,
        seed=arguments.seed, backend=arguments.backend, keep=keep,
    )  # fmt: skip
    images = report.to_uint8(frames[-1].x)
    columns = arguments.count if rows > 1 else None

    def sheet(x: Any) -> np.ndarray:
        return report.image_grid(x, columns, scale=arguments.scale)

    report.save_png(sheet(images), out)
    said(out, counted(len(images), "image"))
    if gif:
        report.save_gif((sheet(frame.x) for frame in frames), gif)
        said(gif, f"{len(frames)} frames")
    if single:
        report.save_png(report.reverse_strip(frames), single)
        said(single, "the first image step by step")
    if html:
        report.save_sampling_page(html, checkpoint, frames, labels, few)
        said(html, "noising and denoising, to scrub through in a browser")
    if npz:
        save_npz(npz, images, labels, checkpoint.config.classes)
        said(npz, f"images {images.shape} and their labels")
    return 0


def labels_of(text: str, checkpoint: Checkpoint) -> list[int] | None:
    """The labels that ``--label`` asks for, by name or by number; None for samples of no class.

    Raises
    ------
    InputError
        If one is none of the model's classes.
    """
    names = checkpoint.config.classes
    if checkpoint.config.model.get("classes") is None:
        if text not in ("all", "none"):
            raise InputError(f"--label {text}: this model was trained without labels, leave it out")
        return None
    if text == "none":
        return None
    if text == "all":
        return list(range(len(names)))
    labels = []
    for word in text.split(","):
        word = word.strip()
        if word in names:
            labels.append(names.index(word))
        elif word.isascii() and word.isdigit() and int(word) < len(names):
            labels.append(int(word))
        else:
            known = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise InputError(
                f"--label {word}: this model's classes are {known}; or say all, or none"
            )
    return labels


def save_npz(
    path: Path, images: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...]
) -> None:
    """Images as numbers, in the form that ``npdiff train --data`` reads."""
    arrays = {"images": images}
    if labels is not None:
        arrays |= {"labels": labels.astype(np.int64), "classes": np.asarray(classes)}
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    with atomic(path) as file:
        file.write(out.getvalue())
