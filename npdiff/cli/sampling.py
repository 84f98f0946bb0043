"""Options of the commands that sample: the model, and the fields of SamplingConfig."""

import argparse
import json
from typing import Any

from npdiff.cli.common import integer_at_least, part
from npdiff.errors import InputError
from npdiff.generation import SamplingConfig
from npdiff.options import spell, summary
from npdiff.samplers import SAMPLERS, options_of
from npdiff.spacings import SPACINGS
from npdiff.variances import VARIANCES


def add_model(parser: argparse.ArgumentParser) -> None:
    """The argument ``MODEL``."""
    parser.add_argument(
        "model", nargs="?", metavar="MODEL",
        help="a run folder or a model file (default: the model that ships with npdiff)",
    )  # fmt: skip


def add_sampling(
    parser: argparse.ArgumentParser,
    steps: int,
    sampler: str = "ddim",
    listed: str = "`npdiff sample --help` lists all",
) -> None:
    """The options for :class:`~npdiff.generation.SamplingConfig`.

    Parameters
    ----------
    parser : of the command
    steps, sampler : the defaults
    listed : where the help lists the samplers
    """
    parser.add_argument(
        "--guidance", type=float, default=2.0, metavar="W",
        help="the strength of classifier-free guidance (default: 2; 1: no guidance)",
    )  # fmt: skip
    parser.add_argument(
        "--rescale", type=float, default=0.0, metavar="PHI",
        help="give guided images the contrast of unguided ones: 0 not at all (default), 1 fully",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=float, metavar="P",
        help="instead of clipping pixels, scale each image by the P-quantile of its pixels, such "
        "as 0.995",
    )  # fmt: skip
    parser.add_argument(
        "--interval", type=float, nargs=2, metavar=("LOW", "HIGH"),
        help="guide only at noise levels sigma / alpha from LOW to HIGH (default: at all levels)",
    )  # fmt: skip
    parser.add_argument(
        "--sampler", type=part, default=sampler, metavar="NAME",
        help=f"the sampler, or JSON with its options; {listed} (default: {sampler})",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=integer_at_least(1), default=steps, metavar="N",
        help=f"steps from noise to image (default: {steps})",
    )  # fmt: skip
    parser.add_argument(
        "--spacing", type=part, default="trailing", metavar="NAME",
        help=f"the timestep spacing, or JSON with its options: {', '.join(SPACINGS)} (default: "
        "trailing)",
    )  # fmt: skip
    parser.add_argument(
        "--eta", type=float, metavar="ETA",
        help="for ddim and others: fresh noise, from 0 (none) to 1 (as much as ddpm)",
    )  # fmt: skip
    parser.add_argument(
        "--variance", metavar="NAME",
        help=f"for ddpm: the variance of its noise, {', '.join(VARIANCES)}, or learned for a model "
        "trained with learn_variance (default: small)",
    )  # fmt: skip
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", dest="options",
        help="any option of the sampler; may be repeated: order=2, s_churn=10",
    )  # fmt: skip
    parser.add_argument(
        "--no-clip", action="store_true",
        help="do not clip the estimates of the image to the range of pixels",
    )  # fmt: skip


def sampling_config(arguments: argparse.Namespace) -> SamplingConfig:
    """The configuration that the options of :func:`add_sampling` describe."""
    options = sampler_options(arguments.sampler, arguments.options)
    for name in ("eta", "variance"):
        if (value := getattr(arguments, name)) is not None:
            options[name] = value
    return SamplingConfig(
        sampler=arguments.sampler, steps=arguments.steps, spacing=arguments.spacing,
        guidance=arguments.guidance, rescale=arguments.rescale, threshold=arguments.threshold,
        interval=arguments.interval and tuple(arguments.interval),
        clip=not arguments.no_clip, options=options,
    )  # fmt: skip


def sampler_options(sampler: Any, given: list[str]) -> dict[str, Any]:
    """The values of ``--option``; :class:`SamplingConfig` checks their names and types.

    Raises
    ------
    InputError
        If one is not of the form KEY=VALUE, or the sampler has no such option.
    """
    known, options = options_of(sampler), {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise InputError(f"--option {item}: expected KEY=VALUE, as in --option order=2")
        if name not in known and "**" not in known:
            has = f"its options are {', '.join(known)}" if known else "it has no options"
            raise InputError(f"--option {item}: sampler {spell(sampler)!r} has no {name!r}, {has}")
        try:
            is_float = isinstance(known.get(name), float)
            options[name] = float(text) if is_float else json.loads(text)
        except ValueError:
            options[name] = text  # a name needs no quotes; other values are refused later
    return options


def list_of_samplers() -> str:
    """All samplers for a help text: a line about each, and its options with their defaults."""
    lines = []
    for name, run in SAMPLERS.items():
        lines.append(f"  {name:21} {summary(run)}")
        if own := options_of(name):
            options = ", ".join(f"{key}={spelled(value)}" for key, value in own.items())
            lines.append(f"  {'':21} {options}")
    return "\n".join(lines)


def spelled(value: Any) -> str:
    """A default as ``--option`` would take it."""
    return value if isinstance(value, str) else spell(value).lower()
