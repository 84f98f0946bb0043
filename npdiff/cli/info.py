"""``npdiff info``: the configuration of a run or a model, and its progress."""

import argparse
import json
from pathlib import Path
from typing import Any

from npdiff.cli.common import command
from npdiff.cli.sampling import add_model
from npdiff.generation import SHIPPED
from npdiff.options import is_description, spell
from npdiff.runs import Run, checkpoint

DETAILS = """\
examples:
  npdiff info runs/digits
  npdiff info runs/digits --json | python -m json.tool
  npdiff info                       the model that ships with npdiff"""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "info", "describe a run or a model", DETAILS)
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the facts."""
    facts = facts_about(Path(arguments.model) if arguments.model else None)
    print(json.dumps(facts, indent=2) if arguments.json else text_of(facts))
    return 0


def facts_about(path: Path | None) -> dict[str, Any]:
    """The facts about a run folder or a model file, ready for JSON.

    The network is not built, so the objects that a run was trained with are not needed.

    Raises
    ------
    InputError
        If there is neither at ``path``.
    """
    if path is not None and path.is_dir():
        run = Run.open(path)
        metrics = run.metrics()
        facts = {"kind": "run", "path": str(path), "config": run.config.to_dict()}
        facts["files"] = sizes(path)
        if metrics:
            facts["last"] = metrics[-1]
        if not run.state_path.is_file():
            return {**facts, "step": 0, "parameters": {}}
        named, header = checkpoint.load(run.state_path, "state", "average.")
    else:
        named, header = checkpoint.load(path or SHIPPED, "model")
        facts = {"kind": "model", "path": str(path or SHIPPED), "config": header.config.to_dict()}
    parts: dict[str, int] = {}
    for name, array in named.items():
        part = name.partition(".")[0]
        parts[part] = parts.get(part, 0) + array.size
    return {**facts, "step": header.step, "parameters": parts}


def sizes(path: Path) -> dict[str, int]:
    """The files of a folder with their sizes in bytes."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.stat().st_size for file in files}


def text_of(facts: dict[str, Any]) -> str:
    """The facts as text."""
    config, parameters = facts["config"], facts["parameters"]
    lines = [f"{facts['kind']} {facts['path']}", ""]
    lines.append(
        f"trained    {facts['step']:,} of {config['steps']:,} steps, batch {config['batch']}"
    )
    if last := facts.get("last"):
        lines.append(
            f"           last loss {last['loss']:.4f} at step {last['step']:,}, "
            f"{last['images_per_second']:.0f} images/s, {last['seconds']:.0f} s in total"
        )
    shape = " x ".join(map(str, config["shape"]))
    classes = ", ".join(config["classes"]) or "none"
    lines += [
        f"data       {spell(config['data'])}, {shape}, classes: {classes}",
        f"diffusion  schedule {spell(config['schedule'])}, prediction "
        f"{spell(config['prediction'])}, weighting {spell(config['weighting'])}, "
        f"time sampler {spell(config['time_sampler'])}",
    ]
    if network := config["network"]:
        kind = f" ({network['type']})" if is_description(network) else ""
        lines.append(f"network    {spell(network)}{kind}")
    else:
        options = ", ".join(f"{name} {value}" for name, value in config["model"].items())
        lines.append(f"network    U-Net: {options}")
    if parameters:
        lines.append(f"weights    {sum(parameters.values()):,}")
        lines += [f"           {size:>12,}  {name}" for name, size in parameters.items()]
    if files := facts.get("files"):
        lines.append("files")
        lines += [f"           {size:>12,}  {name}" for name, size in files.items()]
    return "\n".join(lines)
