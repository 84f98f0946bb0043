"""``npdiff sample``: images from a trained model."""

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np

from npdiff import report
from npdiff.cli.common import (
    add_computing,
    add_seed,
    command,
    integer_at_least,
    output_path,
    pluralize,
    report_file,
)
from npdiff.cli.sampling import add_model, add_sampling, list_of_samplers, sampling_config
from npdiff.errors import InputError
from npdiff.files import atomic
from npdiff.generation import load
from npdiff.generation.recording import sample_frames
from npdiff.report.viewer import MAX_SAMPLES
from npdiff.runs import Checkpoint

DETAILS = """\
examples:
  npdiff sample --label 7 --guidance 3 --count 16 --out sevens.png
  npdiff sample runs/digits --label all --count 8 --out digits.png --gif digits.gif
  npdiff sample --label 3,1,4 --sampler ddpm --steps 250 --strip three.png --html watch.html
  npdiff sample --sampler dpmpp-multistep --option order=3 --steps 15
  npdiff sample --spacing '{"name": "karras", "rho": 5}'
  npdiff sample --import my_module --sampler my-sampler

Guidance w: eps = eps_uncond + w (eps_cond - eps_uncond). 0 ignores the label, 1 is the model as it
was trained, 2 to 4 gives clearer and less varied samples. It costs two evaluations per step. If
strong guidance gives too much contrast: --rescale 0.7, --threshold 0.995 or --interval 0.3 5.

Samplers, with their options (--option KEY=VALUE) and defaults. ddim is good from 20 steps on, the
methods of higher order from 10; ddpm and the others with fresh noise need more, up to hundreds.
ode is slow: it evaluates the model hundreds of times, for any number of steps.

SAMPLERS

A sample depends only on the model, the label, these settings, the seed and its index: --count 4
gives the first four samples of --count 16. In the grid each row is a label, and the samples of a
column start from the same noise."""


def add(commands: Any) -> None:
    """Declare the command."""
    details = DETAILS.replace("SAMPLERS", list_of_samplers())  # of --import too
    parser = command(commands, "sample", "make images with a trained model", details)
    add_model(parser)
    parser.add_argument(
        "--label", default="all", metavar="LABEL",
        help="a class, several as in 3,1,4, all (default), or none for samples without a label",
    )  # fmt: skip
    parser.add_argument(
        "--count",
        type=integer_at_least(1),
        default=8,
        metavar="N",
        help="images per label (default: 8)",
    )
    add_sampling(parser, steps=50, listed="see below")
    add_seed(parser, "seed of the noise: the same seed gives the same images (default: 0)")
    add_computing(parser)
    parser.add_argument(
        "--out", default="samples.png", metavar="FILE.png",
        help="the grid of images (default: samples.png)",
    )  # fmt: skip
    parser.add_argument(
        "--scale", type=integer_at_least(1), default=2, metavar="N",
        help="enlarge each pixel to N x N (default: 2)",
    )  # fmt: skip
    parser.add_argument(
        "--gif", metavar="FILE.gif", help="an animation of the grid from noise to images"
    )
    parser.add_argument(
        "--strip", metavar="FILE.png",
        help="the first image step by step: x_t above, the estimate of x_0 below",
    )  # fmt: skip
    parser.add_argument(
        "--html", metavar="FILE.html",
        help="the forward and the reverse process in a browser: a sample per label, or several of "
        "one",
    )  # fmt: skip
    parser.add_argument(
        "--npz", metavar="FILE.npz",
        help="the arrays images (uint8), labels, classes, for `npdiff train --data`",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sample, and write the files."""
    out = output_path(arguments.out, ".png")
    gif = arguments.gif and output_path(arguments.gif, ".gif")
    single = arguments.strip and output_path(arguments.strip, ".png")
    html = arguments.html and output_path(arguments.html, ".html")
    npz = arguments.npz and output_path(arguments.npz, ".npz")
    checkpoint = load(arguments.model)
    chosen = labels_of(arguments.label, checkpoint)
    labels = None if chosen is None else np.repeat(chosen, arguments.count)
    config = sampling_config(arguments)
    rows = 1 if chosen is None else len(chosen)
    few = slice(MAX_SAMPLES) if rows == 1 else slice(None, None, arguments.count)
    keep = None if gif else few if html else slice(1)
    frames = sample_frames(
        checkpoint, labels, np.tile(np.arange(arguments.count), rows), config,
        seed=arguments.seed, backend=arguments.backend, keep=keep,
    )  # fmt: skip
    images = report.to_uint8(frames[-1].x)
    columns = arguments.count if rows > 1 else None

    def grid(x: Any) -> np.ndarray:
        return report.image_grid(x, columns, scale=arguments.scale)

    report.save_png(grid(images), out)
    report_file(out, pluralize(len(images), "image"))
    if gif:
        report.save_gif((grid(frame.x) for frame in frames), gif)
        report_file(gif, f"{len(frames)} frames")
    if single:
        report.save_png(report.reverse_strip(frames), single)
        report_file(single, "the first image step by step")
    if html:
        report.save_sampling_page(html, checkpoint, frames, labels, few)
        report_file(html, "the forward and the reverse process, for a browser")
    if npz:
        save_npz(npz, images, labels, checkpoint.config.classes)
        report_file(npz, f"images {images.shape} and their labels")
    return 0


def labels_of(text: str, checkpoint: Checkpoint) -> list[int] | None:
    """The labels of ``--label``, given by name or index; None for samples without a label.

    Raises
    ------
    InputError
        If the model has no such class.
    """
    names = checkpoint.config.classes
    if checkpoint.config.model.get("classes") is None:
        if text not in ("all", "none"):
            raise InputError(f"--label {text}: this model was trained without labels; omit --label")
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
                f"--label {word}: the classes of this model are {known}; or choose all or none"
            )
    return labels


def save_npz(
    path: Path, images: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...]
) -> None:
    """Save images, labels and class names for ``npdiff train --data``."""
    arrays = {"images": images}
    if labels is not None:
        arrays |= {"labels": labels.astype(np.int64), "classes": np.asarray(classes)}
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    with atomic(path) as file:
        file.write(out.getvalue())
