"""Compare training with the kernels and training with the definitions: equal up to rounding?

    python -m benchmarks.agreement runs/agreement
    python -m benchmarks.agreement runs/agreement --steps 500 --seeds 0 1
    python -m benchmarks.agreement runs/agreement --plot docs/images/agreement.png

Both compute the same function and round differently, and training propagates every difference.
For each seed a run with kernels and a run without use the same random draws. The program reports
the mean loss over the last quarter of the steps and the Fréchet distance of samples, and the range
of both over the seeds, to which differences between kernels and definitions should be compared.

Existing runs are resumed, or read if they are finished.
"""

import argparse
import json
import statistics
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from tqdm import tqdm

from npdiff import metrics
from npdiff.acceleration import definitions_only
from npdiff.generation import generate
from npdiff.runs import PRESETS, Config, Run
from npdiff.training import train

KINDS = {"kernels": nullcontext, "definitions": definitions_only}
#: Number of samples for the distance, and sampling steps.
COUNT, STEPS = 1000, 25


def small_config(width: int, batch: int, steps: int, seed: int) -> Config:
    """The preset ``digits``, narrower and with smaller batches, so that many runs are possible."""
    preset = PRESETS["digits"]
    return preset.replace(
        model={**preset.model, "width": width},
        batch=batch,
        shard=-(-batch // 2),
        steps=steps,
        warmup=min(preset.warmup, steps // 4),
        seed=seed,
        sample_every=0,
        checkpoint_every=250,
    )


def result(config: Config, kind: str, path: Path) -> dict[str, object]:
    """The losses and the distance of one run, which is trained first if it is not finished."""
    file = path / "agreement.json"
    if file.is_file():
        return json.loads(file.read_text())
    if not (path / "model.safetensors").is_file():
        with KINDS[kind]():
            steps = train(config, path, resume=path.is_dir())
            for _ in tqdm(steps, desc=path.name, total=config.steps, mininterval=5.0):
                pass
    checkpoint = Run.load(path)
    labels = np.arange(COUNT) % 10
    with KINDS[kind]():
        images = generate(checkpoint, labels, steps=STEPS, seed=0)
    lines = (path / "metrics.jsonl").read_text().splitlines()
    measured = metrics.evaluate(images, labels).generated._asdict()
    found = {
        "kind": kind,
        "seed": config.seed,
        "losses": [json.loads(line)["loss"] for line in lines],
        "frechet": measured["frechet"],
        "accuracy": measured["accuracy"],
    }
    file.write_text(json.dumps(found) + "\n")
    return found


def late(losses: list[float]) -> float:
    """The mean over the last quarter of the steps."""
    return statistics.fmean(losses[-len(losses) // 4 :])


def table(found: list[dict[str, object]]) -> str:
    """One line for each run, then the differences between kernels and between seeds."""
    lines = [f"{'run':20}{'loss, last quarter':>20}{'Fréchet':>10}{'accuracy':>10}"]
    for run in found:
        name = f"{run['kind']}, seed {run['seed']}"
        lines.append(
            f"{name:20}{late(run['losses']):20.5f}{run['frechet']:10.2f}{run['accuracy']:10.3f}"
        )
    if len({run["kind"] for run in found}) < len(KINDS):
        return "\n".join(lines)
    measured = {"loss": lambda run: late(run["losses"]), "Fréchet": lambda run: run["frechet"]}
    for what, of in measured.items():
        values = {kind: [of(run) for run in found if run["kind"] == kind] for kind in KINDS}
        means = {kind: statistics.fmean(own) for kind, own in values.items()}
        by_seed = max(max(own) - min(own) for own in values.values())
        by_kind = abs(means["kernels"] - means["definitions"])
        lines.append(f"{what}: the means differ by {by_kind:.3g}, the seeds by up to {by_seed:.3g}")
    return "\n".join(lines)


def plot(found: list[dict[str, object]], path: str) -> None:
    """The smoothed loss curves, one color for each kind."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    window = 50
    for run in found:
        losses = np.convolve(run["losses"], np.full(window, 1.0 / window), "valid")
        kernels = run["kind"] == "kernels"
        label = run["kind"] if run["seed"] == found[0]["seed"] else None
        style = {"color": "C0" if kernels else "C1", "linestyle": "-" if kernels else "--"}
        axes.plot(np.arange(window, window + len(losses)), losses, lw=1.0, label=label, **style)
    axes.set(xlabel="step", ylabel=f"loss, mean of {window} steps", yscale="log")
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.agreement",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder of the runs")
    parser.add_argument("--steps", type=int, default=2000, help="steps of each run (2000)")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of the runs (0 1 2)"
    )
    parser.add_argument("--width", type=int, default=16, help="width of the network (16)")
    parser.add_argument("--batch", type=int, default=16, help="images per step (16)")
    parser.add_argument(
        "--kinds", choices=KINDS, nargs="+", default=list(KINDS), help="which runs (both)"
    )
    parser.add_argument("--plot", metavar="FILE", help="draw the loss curves")
    options = parser.parse_args()
    found = [
        result(
            small_config(options.width, options.batch, options.steps, seed),
            kind,
            options.folder / f"{kind}-{seed}",
        )
        for seed in options.seeds
        for kind in options.kinds
    ]
    print(table(found))
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
