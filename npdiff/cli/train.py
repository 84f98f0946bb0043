"""``npdiff train``: train a model, watch it, stop it, go on with it."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from npdiff import report
from npdiff.cli.common import add_computing, add_seed, command, said, whole
from npdiff.errors import InputError
from npdiff.objective import TIME_SAMPLERS
from npdiff.runs import PRESETS, Config, Run, load_model
from npdiff.runtime.progress import progress_bar
from npdiff.training import Progress
from npdiff.training import train as training

DETAILS = """\
examples:
  npdiff train --preset digits --out runs/digits
  npdiff train --preset digits --out runs/digits --resume      go on after Ctrl-C
  npdiff train --data photos/ --size 32 --steps 5000 --out runs/photos
  npdiff train --set model.width=48 --set learning_rate=1e-3 --out runs/wide

The run folder holds, whole at every moment:
  config.json          everything that decides the result; --set changes any field of it
  state.safetensors    the last checkpoint
  metrics.jsonl        loss, gradient norm, learning rate and speed of every step
  model.safetensors    the averaged weights, when the run has finished
  samples/             pictures on the way
  samples.png, noising.png, denoising.png, loss.png    pictures at the end
  denoising.html       noising and denoising to scrub through, in any browser

A run is a function of its configuration: the same whatever the number of threads, and after any
number of interruptions. --definitions-only computes the same to rounding, more slowly."""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "train", "train a diffusion model", DETAILS)
    parser.add_argument(
        "--preset", choices=PRESETS, default="digits",
        help="where the configuration starts from (default: digits)",
    )  # fmt: skip
    parser.add_argument("--out", metavar="RUN", help="the folder of the run (default: runs/PRESET)")
    parser.add_argument(
        "--resume", action="store_true",
        help="go on with the run in that folder; start it if there is none yet",
    )  # fmt: skip
    parser.add_argument(
        "--data", metavar="PATH",
        help="train on your own images: a folder of them, one subfolder a class, or an .npz file "
        "with uint8 `images` and integer `labels`",
    )  # fmt: skip
    parser.add_argument(
        "--size", type=whole(1), metavar="PIXELS",
        help="bring the images of a folder to this height and width (cut to a square, resized)",
    )  # fmt: skip
    parser.add_argument(
        "--channels", type=int, choices=(1, 3), default=3,
        help="with --size: 1 for gray images, 3 for color (default: 3)",
    )  # fmt: skip
    parser.add_argument(
        "--steps",
        type=whole(1),
        metavar="N",
        help="steps of the optimizer; the warm-up is at most a quarter of them",
    )
    parser.add_argument("--batch", type=whole(1), metavar="N", help="images in a step")
    parser.add_argument(
        "--time-sampler", choices=TIME_SAMPLERS,
        help="how the times of the images are drawn (default: uniform)",
    )  # fmt: skip
    add_seed(parser, "of every draw: weights, order of the images, times, noise", None)
    add_computing(parser, None)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
        help="any other field of the configuration, as JSON, as often as you like: "
        "ema=0.999, prediction=eps, model.attention=[0,1]",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, and draw what came out."""
    path = Path(arguments.out or Path("runs") / arguments.preset)
    existing = arguments.resume and (path / "config.json").is_file()
    base = Run.open(path).config if existing else PRESETS[arguments.preset]
    config = changed(base, arguments)
    if existing and config == base and finished(path, config):
        print(f"the run in {path} has finished: {config.steps} steps")
        if report.is_complete(path):
            print("its pictures are there")
        else:
            draw(path)
        return 0
    steps = training(config, path, resume=arguments.resume)
    last: Progress | None = None
    progress = progress_bar(config.steps, "step", "training")
    try:
        with progress:
            for last in steps:
                if progress.n == 0 and last.step > 1:  # resumed
                    progress.update(last.step - 1)
                    progress.unpause()
                progress.update(last.step - progress.n)
                progress.set_postfix_str(
                    f"loss {last.loss:.4f}, {last.images_per_second:.0f} images/s", refresh=False
                )
    except KeyboardInterrupt:
        steps.close()  # type: ignore[attr-defined]  # a generator: closing it saves the state
        reached = f"after step {last.step}, which is saved" if last else "before its first step"
        print(
            f"npdiff: interrupted {reached}; go on with: npdiff train --out {path} --resume",
            file=sys.stderr,
        )
        return 130
    if last is not None:
        print(f"trained {last.step} steps in {last.seconds:.0f} s; last loss {last.loss:.4f}")
    draw(path)
    return 0


def draw(path: Path) -> None:
    """The pictures at the end of a run."""
    for picture, what in report.write(path):
        said(picture, what)
    said(path / "model.safetensors", f"the model; try `npdiff sample {path} --label all`")


def finished(path: Path, config: Config) -> bool:
    """Whether the run has made all its steps."""
    model = Run(path, config).model_path
    return model.is_file() and load_model(model).step >= config.steps


def changed(config: Config, arguments: argparse.Namespace) -> Config:
    """The configuration with what the command line asks for.

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
    if arguments.steps is not None:
        changes["warmup"] = min(config.warmup, arguments.steps // 4)
    if arguments.size is not None:
        if arguments.data is None:
            raise InputError("--size is for your own images: give their folder with --data")
        changes["shape"] = (arguments.size, arguments.size, arguments.channels)
    for setting in arguments.settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise InputError(f"--set {setting}: expected KEY=VALUE, as in --set ema=0.999")
        try:
            value = json.loads(text)
        except ValueError:
            value = text  # a name needs no quotes
        name, dot, option = name.partition(".")
        if not dot:
            changes[name] = value
        elif name == "model":
            changes["model"] = {**changes.get("model", config.model), option: value}
        else:
            raise InputError(f"--set {setting}: only `model` has fields of its own")
    return config.replace(**changes)
