"""The images that are there already: what `npdiff edit` is given, brought to a model's form."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from npdiff.cli.sample import labels_of
from npdiff.data.images import load_image
from npdiff.errors import InputError
from npdiff.runs import Checkpoint
from npdiff.runs.dataset import load_data

#: The default of ``--label``.
OWN = "own"


def add_originals(parser: argparse.ArgumentParser, label: str = OWN) -> None:
    """The options that name images and labels."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--index", metavar="I[,I...]",
        help="images of the test split of the data that the model was trained on, by number",
    )  # fmt: skip
    which.add_argument(
        "--image", nargs="+", metavar="FILE",
        help="image files; each is cut and resized to what the model makes",
    )  # fmt: skip
    parser.add_argument(
        "--label", default=label, metavar="LABEL",
        help="what the result should be: a class, one for each image as in 3,1,4, none, or own: "
        f"the image's own label, which --index knows and a file has not (default: {label})",
    )  # fmt: skip


def originals(
    arguments: argparse.Namespace, checkpoint: Checkpoint
) -> tuple[np.ndarray, np.ndarray]:
    """The images, bytes (N, H, W, C), and the label of each; its length is 0 where there are none.

    Raises
    ------
    InputError
        If an image or a label cannot be had.
    """
    shape, own = checkpoint.config.shape, None
    if len(shape) != 3:
        raise InputError(f"this model makes samples of shape {shape}, and images are edited here")
    if arguments.image:
        images = np.stack([load_image(path, shape) for path in arguments.image])
    else:
        dataset = load_data(replace(checkpoint.config, split="test"))
        chosen = np.array(_indices(arguments.index, len(dataset.images)))
        images, own = dataset.images[chosen], dataset.labels[chosen]
    return images, _labels(arguments.label, checkpoint, len(images), own)


def _indices(text: str, count: int) -> list[int]:
    numbers = []
    for word in text.split(","):
        word = word.strip()
        if not (word.isascii() and word.isdigit() and int(word) < count):
            raise InputError(f"--index {word}: the test split has images 0 to {count - 1}")
        numbers.append(int(word))
    return numbers


def _labels(text: str, checkpoint: Checkpoint, count: int, own: np.ndarray | None) -> np.ndarray:
    conditional = checkpoint.config.model.get("classes") is not None
    if text == OWN:
        return own if conditional and own is not None else np.zeros(0, dtype=np.int64)
    if text == "all":
        raise InputError("--label all: an image is edited towards one class; name it")
    found = labels_of(text, checkpoint)
    if found is None:
        return np.zeros(0, dtype=np.int64)
    if len(found) not in (1, count):
        raise InputError(f"--label {text}: {len(found)} labels for {count} images; give one each")
    return np.broadcast_to(np.array(found), (count,))


def unknown(arguments: argparse.Namespace, shape: tuple[int, ...]) -> np.ndarray:
    """Where an image is to be painted anew: booleans (H, W, 1), from ``--box`` or ``--mask``.

    Raises
    ------
    InputError
        If the box leaves the image or is empty, the mask cannot be read, or nothing or all is
        left to paint.
    """
    height, width, _ = shape
    anew = np.zeros((height, width, 1), dtype=bool)
    if arguments.box:
        top, left, bottom, right = arguments.box
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            raise InputError(
                f"--box {top} {left} {bottom} {right}: expected TOP < BOTTOM <= {height} and "
                f"LEFT < RIGHT <= {width}, in pixels from 0"
            )
        anew[top:bottom, left:right] = True
    else:
        anew = load_image(Path(arguments.mask), (height, width, 1)) >= 128
        if not anew.any():
            raise InputError(f"{arguments.mask}: no pixel is white, so nothing is painted anew")
    if anew.all():
        raise InputError("all of the image is to be painted anew: use `npdiff sample`")
    return anew
