"""The options that name given images, their labels and a mask: the input of ``npdiff edit``."""

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


def add_images(parser: argparse.ArgumentParser, label: str = OWN) -> None:
    """Add the options that name images and labels."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--index", metavar="I[,I...]",
        help="indices of images in the test split of the data that the model was trained on",
    )  # fmt: skip
    which.add_argument(
        "--image", nargs="+", metavar="FILE",
        help="image files; each is cropped and resized to the model's shape",
    )  # fmt: skip
    parser.add_argument(
        "--label", default=label, metavar="LABEL",
        help=f"the label of the result: a class, one per image as in 3,1,4, none, or {OWN}, the "
        f"label of the test image, or none for an image file (default: {label})",
    )  # fmt: skip


def read_images(
    arguments: argparse.Namespace, checkpoint: Checkpoint
) -> tuple[np.ndarray, np.ndarray | None]:
    """The images, uint8 (N, H, W, C), and a label for each, or None.

    Raises
    ------
    InputError
        If an image cannot be read or a label does not fit.
    """
    shape, own = checkpoint.config.shape, None
    if len(shape) != 3:
        raise InputError(f"npdiff edit needs a model of images, this one has samples of {shape}")
    if arguments.image:
        images = np.stack([load_image(path, shape) for path in arguments.image])
    else:
        dataset = load_data(replace(checkpoint.config, split="test"))
        chosen = np.array(_indices(arguments.index, len(dataset.images)))
        images, own = dataset.images[chosen], dataset.labels[chosen]
    return images, _labels(arguments.label, checkpoint, len(images), own)


def _indices(text: str, count: int) -> list[int]:
    indices = []
    for word in text.split(","):
        word = word.strip()
        if not (word.isascii() and word.isdigit() and int(word) < count):
            raise InputError(f"--index {word}: the test split has images 0 to {count - 1}")
        indices.append(int(word))
    return indices


def _labels(
    text: str, checkpoint: Checkpoint, count: int, own: np.ndarray | None
) -> np.ndarray | None:
    if text == OWN:
        return own if checkpoint.config.model.get("classes") is not None else None
    if text == "all":
        raise InputError("--label all: an edited image has one class; name it")
    found = labels_of(text, checkpoint)
    if found is None:
        return None
    if len(found) not in (1, count):
        raise InputError(f"--label {text}: {len(found)} labels for {count} images; give one each")
    return np.broadcast_to(np.array(found), (count,))


def read_mask(arguments: argparse.Namespace, shape: tuple[int, ...]) -> np.ndarray:
    """Booleans (H, W, 1), true where ``--box`` or ``--mask`` selects pixels to generate.

    Raises
    ------
    InputError
        If the box leaves the image or is empty, the mask cannot be read, or no pixel or every
        pixel is selected.
    """
    height, width, _ = shape
    mask = np.zeros((height, width, 1), dtype=bool)
    if arguments.box:
        top, left, bottom, right = arguments.box
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            raise InputError(
                f"--box {top} {left} {bottom} {right}: expected TOP < BOTTOM <= {height} and "
                f"LEFT < RIGHT <= {width}, in pixels from 0"
            )
        mask[top:bottom, left:right] = True
    else:
        mask = load_image(Path(arguments.mask), (height, width, 1)) >= 128
        if not mask.any():
            raise InputError(f"{arguments.mask}: no pixel is white, so none would be generated")
    if mask.all():
        raise InputError("the mask covers the whole image: use `npdiff sample`")
    return mask
