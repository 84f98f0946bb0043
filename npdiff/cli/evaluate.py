"""``npdiff eval``: the quality of a model's samples, compared with real images."""

import argparse
import json
from typing import Any

import numpy as np

from npdiff import data, metrics
from npdiff.cli.common import add_computing, add_seed, command, integer_at_least
from npdiff.cli.sampling import add_model, add_sampling, sampling_config
from npdiff.errors import InputError
from npdiff.generation import load
from npdiff.options import spell
from npdiff.report.figures import record
from npdiff.runs import Checkpoint

DETAILS = """\
examples:
  npdiff eval runs/digits
  npdiff eval runs/digits --count 1000 --guidance 1 --json

The samples are compared with the 9,000 training images, in the features of a classifier of digits
that ships with npdiff:

  accuracy    the fraction of samples that the classifier assigns to their label
  frechet     distance of the Gaussians fitted to the features (FID, with these features); 0 is best
  kid         the unbiased kernel distance (with these features) and its standard error; 0 is best
  precision   the fraction of the samples that lie among the training images
  recall      the fraction of the training images that lie among the samples

The column `floor` has the values of as many real test images, unseen by the model and the
classifier. The values depend on --count, so compare only values of one count. Guidance above 1
trades recall for precision."""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "eval", "evaluate the samples of a model of digits", DETAILS)
    add_model(parser)
    parser.add_argument(
        "--count", type=integer_at_least(10), default=500, metavar="N",
        help="the number of samples (default: 500; at most the number of test images)",
    )  # fmt: skip
    add_sampling(parser, steps=25)
    add_seed(parser, "of the samples' noise (default: 0)")
    add_computing(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sample, compare and print."""
    checkpoint = load(arguments.model)
    config = sampling_config(arguments)
    labels = labels_of(checkpoint, arguments.count)
    frames = record(
        checkpoint, labels, np.arange(arguments.count), config,
        seed=arguments.seed, backend=arguments.backend, watch=slice(1),
    )  # fmt: skip
    facts: dict[str, Any] = {
        "model": str(arguments.model or "the model that ships with npdiff"),
        "trained_steps": checkpoint.step,
        **{name: getattr(arguments, name) for name in ("count", "seed", "backend")},
        **config.to_dict(),
        **metrics.evaluate(frames[-1].x, labels),
    }
    print(json.dumps(facts, indent=2) if arguments.json else table(facts))
    return 0


def labels_of(checkpoint: Checkpoint, count: int) -> np.ndarray | None:
    """The label of each sample, in the proportions of the data; None for a model without labels.

    Raises
    ------
    InputError
        If the model was not trained on the digits, or there are fewer test images.
    """
    config = checkpoint.config
    if config.data != "digits":
        raise InputError(
            "npdiff eval is for models of the digits that ship with npdiff, and this model was "
            f"trained on {spell(config.data)}: use npdiff.metrics with your own features"
        )
    labels = data.load("digits", "test").labels
    if count > len(labels):
        raise InputError(f"--count {count}: there are only {len(labels)} test images")
    return labels[:count] if config.model.get("classes") is not None else None


def table(facts: dict[str, Any]) -> str:
    """The metrics as a text table, with columns for the samples and the floor."""
    samples, floor = facts["generated"], facts["floor"]
    options = "".join(f", {name} {value}" for name, value in facts["options"].items())
    guidance = f"guidance {facts['guidance']:g}"
    guidance += "".join(
        f", {k} {facts[k]}" for k in ("rescale", "threshold", "interval") if facts[k]
    )
    lines = [
        f"{facts['count']} samples of {facts['model']}: {spell(facts['sampler'])}{options}, "
        f"{facts['steps']} steps, {guidance}, seed {facts['seed']}",
        "",
        f"{'':12}{'samples':>10}{'floor':>10}",
    ]
    for name in ("accuracy", "frechet", "kid", "precision", "recall"):
        if samples[name] is not None:
            line = f"{name:12}{samples[name]:>10.4g}{floor[name]:>10.4g}"
            if name == "kid":
                line += f"   standard errors {samples['kid_error']:.2g}, {floor['kid_error']:.2g}"
            lines.append(line)
    return "\n".join(lines)
