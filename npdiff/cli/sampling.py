"""How a model is named and how samples are made: what `npdiff sample` and `npdiff eval` share."""

import argparse

from npdiff.cli.common import whole
from npdiff.generate import Settings
from npdiff.grids import GRIDS
from npdiff.samplers import SAMPLERS
from npdiff.variances import VARIANCES


def add_model(parser: argparse.ArgumentParser) -> None:
    """The argument ``MODEL``."""
    parser.add_argument(
        "model", nargs="?", metavar="MODEL",
        help="a run folder or a model file (default: the model that ships with npdiff)",
    )  # fmt: skip


def add_sampling(parser: argparse.ArgumentParser, steps: int) -> None:
    """The options that make up :class:`~npdiff.generate.Settings`."""
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
        "--sampler", default="ddim", metavar="NAME",
        help=f"{', '.join(SAMPLERS)} (default: ddim)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=whole(1), default=steps, metavar="N",
        help=f"steps from noise to image (default: {steps})",
    )  # fmt: skip
    parser.add_argument(
        "--grid", default="trailing", metavar="NAME",
        help=f"which times the steps visit: {', '.join(GRIDS)} (default: trailing)",
    )  # fmt: skip
    parser.add_argument(
        "--eta", type=float, metavar="ETA",
        help="with ddim: fresh noise, from 0 (none, the default) to 1 (as much as ddpm)",
    )  # fmt: skip
    parser.add_argument(
        "--variance", metavar="NAME",
        help=f"with ddpm: the variance of its noise, {' or '.join(VARIANCES)} (default: small)",
    )  # fmt: skip
    parser.add_argument(
        "--no-clip", action="store_true",
        help="do not keep the estimates of the image within the range of pixels",
    )  # fmt: skip


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings that the options of :func:`add_sampling` ask for."""
    options = {
        name: value
        for name in ("eta", "variance")
        if (value := getattr(arguments, name)) is not None
    }
    return Settings(
        sampler=arguments.sampler, steps=arguments.steps, grid=arguments.grid,
        guidance=arguments.guidance, rescale=arguments.rescale, threshold=arguments.threshold,
        interval=arguments.interval and tuple(arguments.interval),
        clip=not arguments.no_clip, options=options,
    )  # fmt: skip
