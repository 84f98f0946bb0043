"""``npdiff eval``: metrics of a model's samples, next to those of real test images."""

import argparse
import json
from typing import Any

from npdiff import metrics
from npdiff.cli.common import add_computing, add_seed, command, integer_at_least
from npdiff.cli.sampling import add_model, add_sampling, sampling_config
from npdiff.generation import load
from npdiff.options import spell

DETAILS = """\
examples:
  npdiff eval runs/digits
  npdiff eval runs/digits --count 1000 --guidance 1 --json

The samples are compared with the 9,000 training images, in the features of a classifier of digits
that ships with npdiff:

  accuracy    the fraction of samples that the classifier assigns to their label
  frechet     Frechet distance of the features (FID with this classifier); 0 is best
  kid         unbiased kernel distance of the features, with its standard error; 0 is best
  precision   the fraction of samples that lie near training images
  recall      the fraction of training images that lie near samples

The column `floor` has the values of as many real test images, which neither the model nor the
classifier has seen. The values depend on --count: compare only evaluations with the same count.
Guidance above 1 trades recall for precision."""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "eval", "measure the samples of a model of digits", DETAILS)
    add_model(parser)
    parser.add_argument(
        "--count", type=integer_at_least(10), default=500, metavar="N",
        help="samples to evaluate (default: 500; at most as many as there are test images)",
    )  # fmt: skip
    add_sampling(parser, steps=25)
    add_seed(parser, "seed of the samples' noise (default: 0)")
    add_computing(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sample, compare, print."""
    checkpoint = load(arguments.model)
    config = sampling_config(arguments)
    found = metrics.evaluate_checkpoint(
        checkpoint, count=arguments.count, config=config,
        seed=arguments.seed, backend=arguments.backend,
    )  # fmt: skip
    facts: dict[str, Any] = {
        "model": str(arguments.model or "the model that ships with npdiff"),
        "trained_steps": checkpoint.step,
        **{name: getattr(arguments, name) for name in ("count", "seed", "backend")},
        **config.to_dict(),
        "generated": found.generated._asdict(),
        "floor": found.floor._asdict(),
    }
    print(json.dumps(facts, indent=2) if arguments.json else f"{_heading(facts)}\n\n{found}")
    return 0


def _heading(facts: dict[str, Any]) -> str:
    """How the samples were made, in one line."""
    options = "".join(f", {name} {value}" for name, value in facts["options"].items())
    guidance = f"guidance {facts['guidance']:g}"
    guidance += "".join(
        f", {k} {facts[k]}" for k in ("rescale", "threshold", "interval") if facts[k]
    )
    return (
        f"{facts['count']} samples of {facts['model']}: {spell(facts['sampler'])}{options}, "
        f"{facts['steps']} steps, {guidance}, seed {facts['seed']}"
    )
