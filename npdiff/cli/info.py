"""``npdiff info``: what a run or a model is, and how far it got."""

import argparse
import json
from pathlib import Path
from typing import Any

from npdiff import tree
from npdiff.cli.common import command
from npdiff.cli.sampling import add_model
from npdiff.generation import SHIPPED, load
from npdiff.runs import Config, Run

DETAILS = """\
examples:
  npdiff info runs/digits
  npdiff info runs/digits --json | python -m json.tool
  npdiff info                       the model that ships with npdiff"""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "info", "say what a run or a model is", DETAILS)
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the facts."""
    facts = described(Path(arguments.model) if arguments.model else None)
    print(json.dumps(facts, indent=2) if arguments.json else told(facts))
    return 0


def described(path: Path | None) -> dict[str, Any]:
    """The facts about a run folder or a model file, ready for JSON.

    Raises
    ------
    InputError
        If there is neither at ``path``.
    """
    if path is not None and path.is_dir():
        run = Run.open(path)
        metrics = run.metrics()
        facts = {"kind": "run", "path": str(path), "config": config_of(run.config)}
        facts["files"] = sizes(path)
        if metrics:
            facts["last"] = metrics[-1]
        if not run.state_path.is_file():
            return {**facts, "step": 0, "parameters": {}}
    else:
        facts = {"kind": "model", "path": str(path or SHIPPED)}
    checkpoint = load(path)
    parts = {name: tree.size(part) for name, part in tree.children(checkpoint.model)}
    return {
        **facts,
        "config": config_of(checkpoint.config)
        if path is None or path.is_file()
        else facts["config"],
        "step": checkpoint.step,
        "parameters": {name: size for name, size in parts.items() if size},
    }


def config_of(config: Config) -> dict[str, Any]:
    """The configuration as plain values."""
    fields: dict[str, Any] = json.loads(config.to_json())
    return fields


def sizes(path: Path) -> dict[str, int]:
    """The files of a folder with their sizes in bytes."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.stat().st_size for file in files}


def told(facts: dict[str, Any]) -> str:
    """The facts for a reader."""
    config, parameters = facts["config"], facts["parameters"]
    lines = [f"{facts['kind']} {facts['path']}", ""]
    lines.append(
        f"trained    {facts['step']:,} of {config['steps']:,} steps, batch {config['batch']}"
    )
    if last := facts.get("last"):
        lines.append(
            f"           last loss {last['loss']:.4f} at step {last['step']:,}, "
            f"{last['images_per_second']:.0f} images/s, {last['seconds']:.0f} s in all"
        )
    shape = " x ".join(map(str, config["shape"]))
    lines += [
        f"data       {config['data']}, {shape}, classes: {', '.join(config['classes']) or 'none'}",
        f"diffusion  schedule {config['schedule']}, prediction {config['prediction']}, "
        f"weighting {config['weighting']}, time sampler {config['time_sampler']}",
        "network    " + ", ".join(f"{name} {value}" for name, value in config["model"].items()),
    ]
    if parameters:
        lines.append(f"weights    {sum(parameters.values()):,}")
        lines += [f"           {size:>12,}  {name}" for name, size in parameters.items()]
    if files := facts.get("files"):
        lines.append("files")
        lines += [f"           {size:>12,}  {name}" for name, size in files.items()]
    return "\n".join(lines)
