"""``npdiff edit``: inpainting, SDEdit, inversion and interpolation of given images."""

import argparse
from typing import Any

import numpy as np

from npdiff import editing, report
from npdiff.cli.common import (
    add_computing,
    add_seed,
    command,
    integer_at_least,
    output_path,
    part,
    pluralize,
    report_file,
)
from npdiff.cli.images import add_images, read_images, read_mask
from npdiff.cli.sampling import add_model, add_sampling, sampling_config
from npdiff.data import to_float
from npdiff.errors import InputError
from npdiff.generation import load
from npdiff.runs import Checkpoint
from npdiff.spacings import SPACINGS

DETAILS = """\
examples:
  npdiff edit inpaint --index 0,1,2 --box 0 0 16 32 --out upper_halves.png
  npdiff edit inpaint --image mine.png --mask hole.png --label 7 --resamplings 20
  npdiff edit sdedit --index 3,4 --label 8 --strength 0.4,0.6,0.8
  npdiff edit invert --index 0,1,2,3 --corrections 5
  npdiff edit interpolate --index 0,7 --count 9

`npdiff edit COMMAND --help` explains every option."""

EDITS: dict[str, tuple[str, str]] = {
    "inpaint": (
        "generate a part of an image so that it fits the rest",
        "RePaint. After every step the known pixels are replaced by those of the image with noise\n"
        "of the same level. Each stretch of --jump steps is taken --resamplings times, with noise\n"
        "added in between: more repetitions make the parts fit better. Each row of the figure has\n"
        "an image, its known pixels and the results.",
    ),
    "sdedit": (
        "noise an image and denoise it again, toward a label if you like",
        "SDEdit. A small --strength keeps most of the image, 1 keeps nothing of it. Each row of\n"
        "the figure has an image and a result for each strength.",
    ),
    "invert": (
        "find the noise that leads to an image, and reconstruct the image from it",
        "DDIM inversion and DDIM sampling. The error of the reconstruction falls with more\n"
        "--steps or --corrections. Each row of the figure has an image, its noise and the\n"
        "reconstruction.",
    ),
    "interpolate": (
        "interpolate between two images in the space of their noise",
        "DDIM inversion of both images, spherical interpolation of their noise, DDIM sampling.\n"
        "The figure goes from the first image to the second.",
    ),
}


def add(commands: Any) -> None:
    """Declare the command."""
    top = command(commands, "edit", "change images with a trained model", DETAILS)
    edits = top.add_subparsers(metavar="COMMAND", required=True)
    for name, (short, long) in EDITS.items():
        parser = command(edits, name, short, long, within=True)
        add_model(parser)
        add_images(parser, label="none" if name == "interpolate" else "own")
        add_options, edit = {
            "inpaint": (_add_inpaint, _inpaint),
            "sdedit": (_add_sdedit, _sdedit),
            "invert": (_add_inversion, _invert),
            "interpolate": (_add_interpolate, _interpolate),
        }[name]
        add_options(parser)
        add_seed(parser, "seed of the noise: the same seed gives the same images (default: 0)")
        add_computing(parser)
        parser.add_argument(
            "--out", default=f"{name}.png", metavar="FILE.png",
            help=f"the figure (default: {name}.png)",
        )  # fmt: skip
        parser.add_argument(
            "--scale", type=integer_at_least(1), default=3, metavar="N",
            help="draw each pixel N wide and high (default: 3)",
        )  # fmt: skip
        parser.set_defaults(run=run, edit=edit)


def _add_inpaint(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--box", type=int, nargs=4, metavar=("TOP", "LEFT", "BOTTOM", "RIGHT"),
        help="generate rows TOP to BOTTOM - 1 and columns LEFT to RIGHT - 1, counted from 0",
    )  # fmt: skip
    where.add_argument(
        "--mask", metavar="FILE.png",
        help="generate the pixels where this image is white; it is resized like the images",
    )  # fmt: skip
    parser.add_argument(
        "--count",
        type=integer_at_least(1),
        default=4,
        metavar="N",
        help="results for each image (default: 4)",
    )
    parser.add_argument(
        "--resamplings", type=integer_at_least(1), default=5, metavar="R",
        help="how often each stretch of steps is taken (default: 5; 1 only replaces known pixels)",
    )  # fmt: skip
    parser.add_argument(
        "--jump",
        type=integer_at_least(1),
        default=5,
        metavar="J",
        help="steps in a stretch (default: 5)",
    )
    add_sampling(parser, steps=50, sampler="ddpm")


def _add_sdedit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strength", default="0.4,0.6,0.8", metavar="S[,S...]",
        help="the fraction of the steps that is taken: near 0 keeps most of the image, 1 nothing "
        "(default: 0.4,0.6,0.8)",
    )  # fmt: skip
    add_sampling(parser, steps=50)


def _add_inversion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--steps",
        type=integer_at_least(1),
        default=50,
        metavar="N",
        help="steps in each direction (default: 50)",
    )
    parser.add_argument(
        "--spacing", type=part, default="trailing", metavar="NAME",
        help=f"timestep spacing, or JSON with its options: {', '.join(SPACINGS)} (default: "
        "trailing)",
    )  # fmt: skip
    parser.add_argument(
        "--guidance", type=float, default=1.0, metavar="W",
        help="guidance weight (default: 1, no guidance; above 1 the inversion is less exact)",
    )  # fmt: skip
    parser.add_argument(
        "--corrections", type=integer_at_least(0), default=0, metavar="K",
        help="fixed-point iterations in each step of the inversion (default: 0)",
    )  # fmt: skip


def _add_interpolate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--count", type=integer_at_least(2), default=9, metavar="N",
        help="images, both ends included (default: 9)",
    )  # fmt: skip
    _add_inversion(parser)


def run(arguments: argparse.Namespace) -> int:
    """Edit the images and write the figure."""
    out = output_path(arguments.out, ".png")
    checkpoint = load(arguments.model)
    images, labels = read_images(arguments, checkpoint)
    rows, description = arguments.edit(arguments, checkpoint, images, labels)
    tiles = rows.reshape(-1, *rows.shape[2:])
    report.save_png(report.image_grid(tiles, rows.shape[1], scale=arguments.scale), out)
    report_file(out, description)
    return 0


#: Images in rows, uint8 (rows, columns, H, W, C), and a line of description.
Result = tuple[np.ndarray, str]


def _inpaint(
    arguments: argparse.Namespace,
    checkpoint: Checkpoint,
    images: np.ndarray,
    labels: np.ndarray | None,
) -> Result:
    """Each row: the image, its known pixels, the results."""
    count, mask = arguments.count, read_mask(arguments, checkpoint.config.shape)
    results = editing.inpaint(
        checkpoint, np.repeat(images, count, axis=0),
        None if labels is None else np.repeat(labels, count),
        mask=mask, resamplings=arguments.resamplings, jump=arguments.jump,
        config=sampling_config(arguments), seed=arguments.seed, backend=arguments.backend,
    )  # fmt: skip
    known = np.where(mask, np.uint8(128), images)
    pixels = report.to_uint8(results).reshape(len(images), count, *images.shape[1:])
    rows = np.concatenate([images[:, None], known[:, None], pixels], axis=1)
    return rows, f"the image, its known pixels, {pluralize(count, 'result')}, {_in_rows(images)}"


def _sdedit(
    arguments: argparse.Namespace,
    checkpoint: Checkpoint,
    images: np.ndarray,
    labels: np.ndarray | None,
) -> Result:
    """Each row: the image, then its edits from the smallest strength on."""
    strengths, columns = _strengths(arguments.strength), [images]
    for strength in strengths:
        edited = editing.image_to_image(
            checkpoint, images, labels, strength=strength, config=sampling_config(arguments),
            seed=arguments.seed, backend=arguments.backend,
        )  # fmt: skip
        columns.append(report.to_uint8(edited))
    words = ", ".join(f"{s:g}" for s in strengths)
    return np.stack(columns, axis=1), f"the image, then strength {words}, {_in_rows(images)}"


def _strengths(text: str) -> list[float]:
    try:
        return sorted(float(word) for word in text.split(","))
    except ValueError:
        raise InputError(f"--strength {text}: expected values above 0 and up to 1") from None


def _in_rows(images: np.ndarray) -> str:
    return f"in {pluralize(len(images), 'row')}"


def _invert(
    arguments: argparse.Namespace,
    checkpoint: Checkpoint,
    images: np.ndarray,
    labels: np.ndarray | None,
) -> Result:
    """Each row: the image, its noise, the reconstruction."""
    options = _inversion_options(arguments)
    noise = editing.invert(checkpoint, images, labels, corrections=arguments.corrections, **options)
    back = editing.reconstruct(checkpoint, noise, labels, **options)
    error = np.sqrt(((back - to_float(images)) ** 2).mean())
    # the noise at half its size: two standard deviations are black and white
    columns = [images, report.to_uint8(0.5 * noise), report.to_uint8(back)]
    description = (
        "the image, its noise, the reconstruction; root mean square error "
        f"{127.5 * error:.2f} of 255 levels"
    )
    return np.stack(columns, axis=1), description


def _interpolate(
    arguments: argparse.Namespace,
    checkpoint: Checkpoint,
    images: np.ndarray,
    labels: np.ndarray | None,
) -> Result:
    """One row: from the first image to the second."""
    if len(images) != 2:
        raise InputError(f"interpolate takes two images, got {len(images)}")
    row = editing.interpolate(
        checkpoint, images[0], images[1], labels, weights=arguments.count,
        corrections=arguments.corrections,
        **_inversion_options(arguments),
    )  # fmt: skip
    return report.to_uint8(row)[None], f"{len(row)} images from the first to the second"


def _inversion_options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in ("steps", "spacing", "guidance", "backend")}
