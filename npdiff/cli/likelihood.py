"""``npdiff likelihood``: how many bits a model needs for an image that it has not seen."""

import argparse
import json
from typing import Any

from npdiff.cli.bits import Subject, by_bound, by_ode
from npdiff.cli.common import add_computing, add_seed, command, integer_at_least, pluralize
from npdiff.cli.sampling import add_model
from npdiff.generation import load
from npdiff.runtime.threads import ThreadPool
from npdiff.spacings import SPACINGS

DETAILS = """\
examples:
  npdiff likelihood
  npdiff likelihood runs/digits --method both --samples 200
  npdiff likelihood runs/digits --steps 1000 --variance optimal --json

Bits per dimension are bits for each number of an image, of 8; less is better. Two models can be
meant by one network:

  bound  the chain that ddpm samples from, with as many steps as there are terms: an upper bound on
         what it needs, and which steps cost how much. Fewer steps cost more bits.
  ode    the flow that ddim and the solvers follow: what it needs for images whose bytes are spread
         over their bins. The trace of the network's Jacobian is estimated by random probes.

Images come from the test split of the data that the model was trained on, with their labels. Means
come with their standard error over images."""

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
        help="of the chain (default: 100), of the solver (default: 20)",
    )  # fmt: skip
    parser.add_argument(
        "--spacing", choices=SPACINGS, default="log-snr", metavar="NAME",
        help="which times the steps of the chain visit, as for npdiff sample (default: log-snr)",
    )  # fmt: skip
    parser.add_argument(
        "--variance", choices=VARIANCES, default="optimal",
        help="the noise of the chain's steps; optimal, the default, is measured on training images",
    )  # fmt: skip
    parser.add_argument(
        "--decoder", choices=DECODERS, default="gaussian",
        help="how the chain's last step makes bytes (default: gaussian)",
    )  # fmt: skip
    parser.add_argument(
        "--probes", type=integer_at_least(1), default=1, metavar="K",
        help="random directions that estimate the trace for the flow (default: 1)",
    )  # fmt: skip
    add_seed(parser, "of the noise, the probes and the spread of the bytes (default: 0)")
    add_computing(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    checkpoint = load(arguments.model)
    subject = Subject(checkpoint, arguments, "test")
    facts: dict[str, Any] = {
        "model": str(arguments.model or "the one that ships with npdiff"),
        "trained_steps": checkpoint.step,
        "data": checkpoint.config.data,
        "dimensions": subject.dimensions,
        **{name: getattr(arguments, name) for name in ("samples", "seed", "backend")},
    }
    with ThreadPool(1 if arguments.backend == "cupy" else None) as workers:
        if arguments.method in ("bound", "both"):
            facts["bound"] = by_bound(subject, arguments, workers)
        if arguments.method in ("ode", "both"):
            facts["ode"] = by_ode(subject, arguments, workers)
    print(json.dumps(facts, indent=2) if arguments.json else table(facts))
    return 0


def table(facts: dict[str, Any]) -> str:
    """The numbers for a reader."""
    lines = [
        f"{facts['samples']} test images of {facts['data']}, {facts['model']}, seed {facts['seed']}"
    ]
    if "bound" in facts:
        found = facts["bound"]
        lines += [
            "",
            f"bound, {found['steps']} steps ({found['spacing']}), variance {found['variance']}, "
            f"decoder {found['decoder']}",
            f"{'term':26}{'bits/dim':>10}{'':5}standard error",
        ]
        for row in found["terms"]:
            name = {"prior": "L_T, the prior", "decoder": "L_0, the decoder"}.get(
                row["kind"], f"L_t, t {row['from']:.4g} to {row['to']:.4g}"
            )
            lines.append(f"{name:26}{row['bits_per_dim']:>10.5f}{'':5}{row['standard_error']:.5f}")
        lines.append(f"{'sum':26}{found['bits_per_dim']:>10.5f}{'':5}{found['standard_error']:.5f}")
    if "ode" in facts:
        found = facts["ode"]
        lines += [
            "",
            f"probability-flow ODE, {found['steps']} steps, {pluralize(found['probes'], 'probe')}: "
            f"{found['bits_per_dim']:.5f} +- {found['standard_error']:.5f} bits/dim",
        ]
    return "\n".join(lines)
