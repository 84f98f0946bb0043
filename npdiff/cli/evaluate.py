"""``npdiff eval``: how good a model's samples are, beside what real images reach."""

import argparse
import json
from typing import Any

import numpy as np

from npdiff import data
from npdiff.cli.album import record
from npdiff.cli.common import add_backend, add_seed, command, whole
from npdiff.data import Dataset
from npdiff.errors import InputError
from npdiff.generate import Settings, load
from npdiff.grids import GRIDS
from npdiff.metrics.classifier import SIZE, DigitClassifier
from npdiff.metrics.frechet import frechet_distance
from npdiff.metrics.kernel import kernel_distance
from npdiff.metrics.manifold import precision_recall
from npdiff.samplers import SAMPLERS
from npdiff.train import Trained

DETAILS = """\
examples:
  npdiff eval runs/digits
  npdiff eval runs/digits --count 1000 --guidance 1 --json

The samples, and as many real images that the model was trained on, are compared with the test
images, which it has never seen, in the features of a classifier of digits that ships with npdiff:

  accuracy    how often the classifier sees the digit that was asked for
  frechet     distance of the Gaussians fitted to the features (FID, with these features); 0 is best
  kernel      the unbiased kernel distance (KID, likewise), with its standard error; about 0 is best
  precision   the share of the samples that lie among the test images
  recall      the share of the test images that lie among the samples

The column `real` is the floor: what the real training images reach. All but `kernel` depend on
--count, so compare only numbers of one count. Guidance above 1 trades recall for precision."""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "eval", "judge the samples of a model of digits", DETAILS)
    parser.add_argument(
        "model", nargs="?", metavar="MODEL",
        help="a run folder or a model file (default: the model that ships with npdiff)",
    )  # fmt: skip
    parser.add_argument(
        "--count", type=whole(10), default=500, metavar="N",
        help="samples to judge (default: 500; at most as many as there are test images)",
    )  # fmt: skip
    parser.add_argument(
        "--guidance", type=float, default=2.0, metavar="W",
        help="how strongly the samples follow their label (default: 2; 1 is none)",
    )  # fmt: skip
    parser.add_argument(
        "--sampler", default="ddim", metavar="NAME",
        help=f"{', '.join(SAMPLERS)} (default: ddim)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=whole(1), default=25, metavar="N",
        help="steps from noise to image (default: 25)",
    )  # fmt: skip
    parser.add_argument(
        "--grid", default="trailing", metavar="NAME",
        help=f"which times the steps visit: {', '.join(GRIDS)} (default: trailing)",
    )  # fmt: skip
    add_seed(parser, "of the samples' noise (default: 0)")
    add_backend(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sample, compare, print."""
    trained = load(arguments.model)
    train, test = real_images(trained, arguments.count)
    settings = Settings(
        sampler=arguments.sampler, steps=arguments.steps, grid=arguments.grid,
        guidance=arguments.guidance,
    )  # fmt: skip
    conditional = trained.config.model.get("classes") is not None
    labels = test.labels[: arguments.count] if conditional else None
    frames = record(
        trained, labels, np.arange(arguments.count), settings,
        seed=arguments.seed, backend=arguments.backend, watch=1,
    )  # fmt: skip
    judge = DigitClassifier.shipped()
    reference = judge.features(test.images)
    rows = {
        "samples": judged(judge, frames[-1].x, labels, reference),
        "real": judged(judge, train.images, train.labels, reference),
    }
    how = {
        "count": arguments.count, "reference": len(test.images), "guidance": arguments.guidance,
        "sampler": arguments.sampler, "steps": arguments.steps, "grid": arguments.grid,
        "seed": arguments.seed, "trained_steps": trained.step,
    }  # fmt: skip
    print(json.dumps({**how, **rows}, indent=2) if arguments.json else table(how, rows))
    return 0


def real_images(trained: Trained, count: int) -> tuple[Dataset, Dataset]:
    """``count`` of the images that the model was trained on, and the test images.

    Raises
    ------
    InputError
        If they are no digits, or there are fewer.
    """
    config = trained.config
    if config.data != "digits":
        raise InputError(
            "npdiff eval judges models of the digits that ship with npdiff, and this model was "
            f"trained on {config.data}: give npdiff.metrics features of your own"
        )
    train, test = data.load("digits", "train"), data.load("digits", "test")
    assert config.shape == (SIZE, SIZE, 1)
    if count > len(test.images):
        raise InputError(f"--count {count}: there are {len(test.images)} test images, ask for less")
    return Dataset(train.images[:count], train.labels[:count], train.classes), test


def judged(
    judge: DigitClassifier, images: np.ndarray, labels: np.ndarray | None, reference: np.ndarray
) -> dict[str, float]:
    """The numbers for one set of images."""
    features = judge.features(images)
    kernel = kernel_distance(features, reference)
    share = precision_recall(reference, features)
    seen = (
        {} if labels is None else {"accuracy": float((judge.classify(features) == labels).mean())}
    )
    return seen | {
        "frechet": frechet_distance(features, reference),
        "kernel": kernel.value,
        "kernel_error": kernel.standard_error,
        "precision": share.precision,
        "recall": share.recall,
    }


def table(how: dict[str, Any], rows: dict[str, dict[str, float]]) -> str:
    """The numbers for a reader, samples beside the floor."""
    samples, real = rows["samples"], rows["real"]
    lines = [
        f"{how['count']} samples: {how['sampler']}, {how['steps']} steps, guidance "
        f"{how['guidance']:g}, seed {how['seed']}; {how['reference']} test images",
        "",
        f"{'':12}{'samples':>10}{'real':>10}",
    ]
    for name in ("accuracy", "frechet", "kernel", "precision", "recall"):
        if name in samples:
            note = ""
            if name == "kernel":
                note = f"   +- {samples['kernel_error']:.4f}, {real['kernel_error']:.4f}"
            lines.append(f"{name:12}{samples[name]:>10.4f}{real[name]:>10.4f}{note}")
    return "\n".join(lines)
