"""``npdiff likelihood``: bits per dimension of a model on test images."""

import argparse
import json
from typing import Any

from npdiff.cli.common import (
    add_computing,
    add_seed,
    command,
    integer_at_least,
    part,
    pluralize,
)
from npdiff.cli.sampling import add_model
from npdiff.errors import InputError
from npdiff.generation import load
from npdiff.likelihood import Bits, evaluate
from npdiff.options import describe, spell
from npdiff.runs import Checkpoint
from npdiff.runs.dataset import load_data
from npdiff.spacings import SPACINGS

DETAILS = """\
examples:
  npdiff likelihood
  npdiff likelihood runs/digits --method both --samples 200
  npdiff likelihood runs/digits --steps 1000 --variance optimal --json

Bits per dimension are the bits that the model needs for each pixel and channel of an image, where
the file has 8; lower is better. One network defines two models:

  bound  the reverse process that ddpm samples from. Its variational bound is an upper bound on the
         bits; the table shows which steps cost how much. Fewer steps cost more bits.
  ode    the probability-flow ODE that ddim and the solvers follow. Images are dequantized by
         uniform noise, and random probes estimate the trace of the network's Jacobian.

Images come from the test split of the data that the model was trained on, with their labels. Each
mean is printed with its standard error over images."""

METHODS = ("bound", "ode", "both")
VARIANCES = ("small", "large", "optimal")
DECODERS = ("gaussian", "categorical")


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "likelihood", "measure a model in bits per dimension", DETAILS)
    add_model(parser)
    parser.add_argument(
        "--method", choices=METHODS, default="bound", help="what to measure (default: bound)"
    )
    parser.add_argument(
        "--samples", type=integer_at_least(2), default=64, metavar="N",
        help="test images to measure on (default: 64)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=integer_at_least(1), metavar="N",
        help="steps of the reverse process (default: 100) or of the ODE solver (default: 20)",
    )  # fmt: skip
    parser.add_argument(
        "--spacing", type=part, default="log-snr", metavar="NAME",
        help="timestep spacing of the reverse process, or JSON with its options: "
        f"{', '.join(SPACINGS)} (default: log-snr)",
    )  # fmt: skip
    parser.add_argument(
        "--variance", choices=VARIANCES, default="optimal",
        help="variance of the reverse steps; optimal, the default, is estimated on training images",
    )  # fmt: skip
    parser.add_argument(
        "--decoder", choices=DECODERS, default="gaussian",
        help="distribution of the bytes after the last reverse step (default: gaussian)",
    )  # fmt: skip
    parser.add_argument(
        "--probes", type=integer_at_least(1), default=1, metavar="K",
        help="random directions that estimate the trace for the ODE (default: 1)",
    )  # fmt: skip
    add_seed(parser, "seed of the noise, the probes and the dequantization (default: 0)")
    add_computing(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    checkpoint = load(arguments.model)
    images, labels = _test_images(checkpoint, arguments.samples)
    methods = ("bound", "ode") if arguments.method == "both" else (arguments.method,)
    found = {
        method: evaluate(
            checkpoint, images, labels, method=method, steps=arguments.steps,
            spacing=arguments.spacing, variance=arguments.variance, decoder=arguments.decoder,
            probes=arguments.probes, seed=arguments.seed, backend=arguments.backend,
        )
        for method in methods
    }  # fmt: skip
    facts: dict[str, Any] = {
        "model": str(arguments.model or "the model that ships with npdiff"),
        "trained_steps": checkpoint.step,
        "data": describe(checkpoint.config.data),
        "dimensions": found[methods[0]].dimensions,
        **{name: getattr(arguments, name) for name in ("samples", "seed", "backend")},
        **{method: bits.as_dict() for method, bits in found.items()},
    }
    print(json.dumps(facts, indent=2) if arguments.json else _report(facts, found))
    return 0


def _test_images(checkpoint: Checkpoint, count: int) -> tuple[Any, Any]:
    """The first images of the test split, with their labels if the model has classes."""
    config = checkpoint.config
    test = load_data(config.replace(split="test"))
    if count > len(test.images):
        raise InputError(
            f"--samples {count}: there are {len(test.images)} test images, give at most that many"
        )
    labels = test.labels[:count] if config.model.get("classes") is not None else None
    return test.images[:count], labels


def _report(facts: dict[str, Any], found: dict[str, Bits]) -> str:
    lines = [
        f"{facts['samples']} test images of {spell(facts['data'])}, "
        f"{facts['model']}, seed {facts['seed']}"
    ]
    if "bound" in found:
        bits, options = found["bound"], found["bound"].options
        lines += [
            "",
            f"bound, {options['steps']} steps ({spell(options['spacing'])}), "
            f"variance {options['variance']}, decoder {options['decoder']}",
            f"{'term':26}{'bits/dim':>10}{'':5}standard error",
            *(f"{name:26}{mean:>10}{'':5}{error}" for name, mean, error in bits.table()),
        ]
    if "ode" in found:
        bits, options = found["ode"], found["ode"].options
        lines += [
            "",
            f"probability-flow ODE, {options['steps']} steps, "
            f"{pluralize(options['probes'], 'probe')}: "
            f"{bits.mean:.5f} +- {bits.standard_error:.5f} bits/dim",
        ]
    return "\n".join(lines)
