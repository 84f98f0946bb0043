"""``npdiff train``: train a model, interrupt and resume the training."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from npdiff import report
from npdiff.cli.common import (
    add_computing,
    add_seed,
    command,
    integer_at_least,
    part,
    report_file,
)
from npdiff.errors import InputError
from npdiff.objective import TIME_SAMPLERS
from npdiff.runs import PRESETS, Config, Run
from npdiff.training import Progress, fit
from npdiff.training._fit import finished

DETAILS = """\
examples:
  npdiff train --preset digits --out runs/digits
  npdiff train --preset digits --out runs/digits --resume      continue after Ctrl-C
  npdiff train --data photos/ --size 32 --steps 5000 --out runs/photos
  npdiff train --set model.width=48 --set learning_rate=1e-3 --out runs/wide
  npdiff train --set 'schedule={"name": "linear", "steps": 4000}' --out runs/linear
  npdiff train --import my_module --set schedule=my-schedule --out runs/mine
  npdiff train --import my_module --set 'network={"name": "my-network", "width": 64}'

The run folder contains:
  config.json          everything that decides the result; --set changes any field of it
  state.safetensors    the last checkpoint
  metrics.jsonl        loss, gradient norm, learning rate and speed of every step
  model.safetensors    the averaged weights, when the run has finished
  samples/             sample images during training
  samples.png, noising.png, denoising.png, loss.png    figures at the end
  denoising.html       the forward and the reverse process in a browser

The result depends on the configuration alone: not on the number of threads, and not on
interruptions. --definitions-only gives the same result up to rounding, more slowly."""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "train", "train a diffusion model", DETAILS)
    parser.add_argument(
        "--preset", choices=PRESETS, default="digits",
        help="the configuration to start from (default: digits)",
    )  # fmt: skip
    parser.add_argument("--out", metavar="RUN", help="the folder of the run (default: runs/PRESET)")
    parser.add_argument(
        "--resume", action="store_true",
        help="continue the run in that folder; start it if there is none yet",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=part, metavar="PATH",
        help="your own images: a folder with one subfolder per class, an .npz file with uint8 "
        "`images` and integer `labels`, or a registered name",
    )  # fmt: skip
    parser.add_argument(
        "--size", type=integer_at_least(1), metavar="PIXELS",
        help="crop the images of a folder to squares and resize them to this height and width",
    )  # fmt: skip
    parser.add_argument(
        "--channels", type=int, choices=(1, 3), default=3,
        help="with --size: 1 for gray images, 3 for color (default: 3)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=integer_at_least(1), metavar="N",
        help="optimizer steps; the warm-up is at most a quarter of them",
    )  # fmt: skip
    parser.add_argument("--batch", type=integer_at_least(1), metavar="N", help="images per step")
    parser.add_argument(
        "--time-sampler", type=part, metavar="NAME",
        help="the distribution of the training times, or JSON with its options: "
        f"{', '.join(TIME_SAMPLERS)} (default: uniform)",
    )  # fmt: skip
    add_seed(parser, "seed of all random numbers: weights, order of images, times, noise", None)
    add_computing(parser, None)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="fields",
        help="any other field of the configuration, as JSON; may be repeated: ema=0.999, "
        "prediction=eps, model.attention=[0,1]",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, then draw the figures."""
    path = Path(arguments.out or Path("runs") / arguments.preset)
    existing = arguments.resume and (path / "config.json").is_file()
    base = Run.open(path).config if existing else PRESETS[arguments.preset]
    config = apply_options(base, arguments, existing=existing)
    if existing and config == base and finished(path):
        print(f"the run in {path} has finished: {config.steps} steps")
        if report.is_complete(path):
            print("its pictures are there")
        else:
            draw(path)
        return 0
    last: Progress | None = None

    def remember(progress: Progress) -> None:
        nonlocal last
        last = progress

    try:
        fit(config, path, resume=arguments.resume, callback=remember)
    except KeyboardInterrupt:
        reached = f"after step {last.step}, which is saved" if last else "before its first step"
        print(
            f"npdiff: interrupted {reached}; continue with: npdiff train --out {path} --resume",
            file=sys.stderr,
        )
        return 130
    if last is not None:
        print(f"trained {last.step} steps in {last.seconds:.0f} s; last loss {last.loss:.4f}")
    draw(path)
    return 0


def draw(path: Path) -> None:
    """Draw the figures at the end of a run."""
    for picture, what in report.write(path):
        report_file(picture, what)
    report_file(path / "model.safetensors", f"the model; try `npdiff sample {path} --label all`")


def apply_options(
    config: Config, arguments: argparse.Namespace, *, existing: bool = False
) -> Config:
    """The configuration with the changes of the command line.

    Raises
    ------
    InputError
        If a field is unknown or its value does not fit.
    """
    changes: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in ("data", "steps", "batch", "time_sampler", "seed", "backend")
        if getattr(arguments, name) is not None
    }
    if arguments.steps is not None and config.warmup is not None and not existing:
        changes["warmup"] = min(config.warmup, arguments.steps // 4)
    if arguments.size is not None:
        if arguments.data is None:
            raise InputError("--size is for your own images: give their folder with --data")
        changes["shape"] = (arguments.size, arguments.size, arguments.channels)
    for item in arguments.fields:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise InputError(f"--set {item}: expected KEY=VALUE, as in --set ema=0.999")
        try:
            value = json.loads(text)
        except ValueError:
            if text.lstrip().startswith(("{", "[")):
                raise InputError(
                    f"--set {item}: the value is not JSON; names in JSON are in double quotes: "
                    '{"name": "linear", "steps": 4000}'
                ) from None
            value = text  # a name needs no quotes
        name, dot, option = name.partition(".")
        if not dot:
            changes[name] = value
        elif name == "model":
            changes["model"] = {**changes.get("model", config.model), option: value}
        else:
            raise InputError(f"--set {item}: only the field `model` has options")
    return config.replace(**changes)
