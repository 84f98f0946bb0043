"""How a model is named and how samples are made: what `npdiff sample` and `npdiff eval` share."""

import argparse
import inspect
import json
from typing import Any

from npdiff.cli.common import whole
from npdiff.errors import InputError
from npdiff.generation import SamplingConfig
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
    """The options that make up :class:`~npdiff.generation.SamplingConfig`; ``listed``: where names are."""
    parser.add_argument(
        "--guidance", type=float, default=2.0, metavar="W",
        help="how strongly to follow the label (default: 2; 1 is none)",
    )  # fmt: skip
    parser.add_argument(
        "--rescale", type=float, default=0.0, metavar="PHI",
        help="give guided images the contrast of unguided ones: 0 not at all (default), 1 wholly",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=float, metavar="P",
        help="instead of clipping pixels, scale each image by the P-quantile of theirs, 0.995 say",
    )  # fmt: skip
    parser.add_argument(
        "--interval", type=float, nargs=2, metavar=("LOW", "HIGH"),
        help="guide only at noise levels sigma / alpha from LOW to HIGH (default: at all)",
    )  # fmt: skip
    parser.add_argument(
        "--sampler", default=sampler, metavar="NAME",
        help=f"how to get from noise to image; {listed} (default: {sampler})",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=whole(1), default=steps, metavar="N",
        help=f"steps from noise to image (default: {steps})",
    )  # fmt: skip
    parser.add_argument(
        "--spacing", default="trailing", metavar="NAME",
        help=f"which times the steps visit: {', '.join(SPACINGS)} (default: trailing)",
    )  # fmt: skip
    parser.add_argument(
        "--eta", type=float, metavar="ETA",
        help="with ddim and others: fresh noise, from 0 (none) to 1 (as much as ddpm)",
    )  # fmt: skip
    parser.add_argument(
        "--variance", metavar="NAME",
        help=f"with ddpm: the variance of its noise, {' or '.join(VARIANCES)} (default: small)",
    )  # fmt: skip
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", dest="options",
        help="any option of the sampler, as often as you like: order=2, s_churn=10",
    )  # fmt: skip
    parser.add_argument(
        "--no-clip", action="store_true",
        help="do not keep the estimates of the image within the range of pixels",
    )  # fmt: skip


def sampling_config(arguments: argparse.Namespace) -> SamplingConfig:
    """The settings that the options of :func:`add_sampling` ask for."""
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


def sampler_options(sampler: str, settings: list[str]) -> dict[str, Any]:
    """The sampler's options that ``--option`` gives, as values.

    Raises
    ------
    InputError
        If one is not of the form KEY=VALUE, or the sampler has no such option.
    """
    known, options = options_of(sampler), {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise InputError(f"--option {setting}: expected KEY=VALUE, as in --option order=2")
        if name not in known:
            has = f"its options are {', '.join(known)}" if known else "it has none"
            raise InputError(f"--option {setting}: sampler {sampler!r} has no {name!r}, {has}")
        try:
            options[name] = float(text) if isinstance(known[name], float) else json.loads(text)
        except ValueError:
            options[name] = text  # a name needs no quotes; what else it may be is refused later
    return options


def list_of_samplers() -> str:
    """All samplers for a help text: a line about each, and its options with their defaults."""
    lines = []
    for name, run in SAMPLERS.items():
        lines.append(f"  {name:21} {(inspect.getdoc(run) or '').splitlines()[0]}")
        if own := options_of(name):
            shown = ", ".join(f"{key}={spelled(value)}" for key, value in own.items())
            lines.append(f"  {'':21} {shown}")
    return "\n".join(lines)


def spelled(value: Any) -> str:
    """A default as one would give it to ``--option``."""
    return value if isinstance(value, str) else str(value).lower()
