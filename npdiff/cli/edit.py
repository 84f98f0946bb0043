"""``npdiff edit``: a trained model paints into images, over them, or between them."""

import argparse
from collections.abc import Callable
from typing import Any

from npdiff.cli.common import (
    add_computing,
    add_seed,
    command,
    integer_at_least,
    output_path,
    report_file,
)
from npdiff.cli.edits import EDITS
from npdiff.cli.originals import add_originals, originals
from npdiff.cli.sampling import add_model, add_sampling
from npdiff.generation import load
from npdiff.report import pictures
from npdiff.spacings import SPACINGS

DETAILS = """\
examples:
  npdiff edit inpaint --index 0,1,2 --box 0 0 16 32 --out upper_halves.png
  npdiff edit inpaint --image mine.png --mask hole.png --label 7 --resamplings 20
  npdiff edit sdedit --index 3,4 --label 8 --strength 0.4,0.6,0.8
  npdiff edit invert --index 0,1,2,3 --corrections 5
  npdiff edit interpolate --index 0,7 --count 9

`npdiff edit WAY --help` explains every option."""

WAYS: dict[str, tuple[str, str]] = {
    "inpaint": (
        "paint a part of an image anew, so that it fits the rest",
        "RePaint: after every step the known pixels are put back, as noisy as the state is, and\n"
        "the state is made noisier again and cleaned anew, --resamplings times in all: the more,\n"
        "the better the parts fit. In the picture: the image, what is known of it, the results.",
    ),
    "sdedit": (
        "make an image noisy and clean it again, towards a label if you like",
        "SDEdit. A small --strength keeps the image, 1 forgets it. In the picture: the image, and\n"
        "a result for each strength.",
    ),
    "invert": (
        "find the noise that leads to an image, and come back from it",
        "DDIM backwards and forwards. The round trip is exact in the limit of many steps, or with\n"
        "--corrections. In the picture: the image, its noise, the image again.",
    ),
    "interpolate": (
        "go from one image to another by way of their noise",
        "DDIM backwards from both, along a great circle, and forwards. In the picture: from the\n"
        "first image to the second.",
    ),
}


def add(commands: Any) -> None:
    """Declare the command."""
    top = command(commands, "edit", "change images with a trained model", DETAILS)
    ways = top.add_subparsers(metavar="WAY", required=True)
    for name, (short, long) in WAYS.items():
        parser = command(ways, name, short, long, within=True)
        add_model(parser)
        add_originals(parser, label="none" if name == "interpolate" else "own")
        _OPTIONS[name](parser)
        add_seed(parser, "of the noise: the same seed, the same images (default: 0)")
        add_computing(parser)
        parser.add_argument(
            "--out", default=f"{name}.png", metavar="FILE.png",
            help=f"the picture (default: {name}.png)",
        )  # fmt: skip
        parser.add_argument(
            "--scale", type=integer_at_least(1), default=3, metavar="N",
            help="draw each pixel N wide and high (default: 3)",
        )  # fmt: skip
        parser.set_defaults(run=run, way=name)


def _add_inpaint(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--box", type=int, nargs=4, metavar=("TOP", "LEFT", "BOTTOM", "RIGHT"),
        help="paint this part anew: rows TOP to BOTTOM - 1, columns LEFT to RIGHT - 1, from 0",
    )  # fmt: skip
    where.add_argument(
        "--mask", metavar="FILE.png",
        help="paint anew where this image is white; it is cut and resized as the images are",
    )  # fmt: skip
    parser.add_argument(
        "--count",
        type=integer_at_least(1),
        default=4,
        metavar="N",
        help="results of each image (default: 4)",
    )
    parser.add_argument(
        "--resamplings", type=integer_at_least(1), default=5, metavar="R",
        help="how often each stretch is walked (default: 5; 1 only puts back what is known)",
    )  # fmt: skip
    parser.add_argument(
        "--jump",
        type=integer_at_least(1),
        default=5,
        metavar="J",
        help="steps of a stretch (default: 5)",
    )
    add_sampling(parser, steps=50, sampler="ddpm")


def _add_sdedit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strength", default="0.4,0.6,0.8", metavar="S[,S...]",
        help="which part of the steps is taken: above 0, which keeps most of the image, to 1 "
        "(default: 0.4,0.6,0.8)",
    )  # fmt: skip
    add_sampling(parser, steps=50)


def _add_inversion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--steps",
        type=integer_at_least(1),
        default=50,
        metavar="N",
        help="steps either way (default: 50)",
    )
    parser.add_argument(
        "--spacing", default="trailing", metavar="NAME",
        help=f"which times they visit: {', '.join(SPACINGS)} (default: trailing)",
    )  # fmt: skip
    parser.add_argument(
        "--guidance", type=float, default=1.0, metavar="W",
        help="how strongly to follow the label (default: 1, none; above 1 inversion is less exact)",
    )  # fmt: skip
    parser.add_argument(
        "--corrections", type=integer_at_least(0), default=0, metavar="K",
        help="correct every step of the inversion K times (default: 0)",
    )  # fmt: skip


def _add_interpolate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--count", type=integer_at_least(2), default=9, metavar="N",
        help="images in a row, both ends included (default: 9)",
    )  # fmt: skip
    _add_inversion(parser)


_OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "inpaint": _add_inpaint,
    "sdedit": _add_sdedit,
    "invert": _add_inversion,
    "interpolate": _add_interpolate,
}


def run(arguments: argparse.Namespace) -> int:
    """Edit, and write the picture."""
    out = output_path(arguments.out, ".png")
    checkpoint = load(arguments.model)
    images, labels = originals(arguments, checkpoint)
    rows, what = EDITS[arguments.way](arguments, checkpoint, images, labels)
    tiles = rows.reshape(-1, *rows.shape[2:])
    pictures.save_png(pictures.grid(tiles, rows.shape[1], scale=arguments.scale), out)
    report_file(out, what)
    return 0
