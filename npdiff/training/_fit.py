"""Training to the end, with a progress bar."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from npdiff.runs.checkpoint import Checkpoint
from npdiff.runs.config import PARTS, Config
from npdiff.runs.run import Run, load_model
from npdiff.runtime.progress import ProgressOption, progress_bar
from npdiff.training.loop import Progress, train

#: The fields that training fills in.
_FILLED_IN = {"data", "shape", "classes", "model", "network", "warmup"}


def fit(
    config: Config | None,
    run_dir: str | Path,
    *,
    resume: bool = False,
    dataset: Any = None,
    network: Any = None,
    callback: Callable[[Progress], None] | None = None,
    progress: ProgressOption = True,
) -> Checkpoint:
    """Train a network to the end, with a progress bar.

    Ctrl-C saves a checkpoint and raises KeyboardInterrupt; ``fit(None, run_dir, resume=True)``
    continues the run, and returns the model of a run that has finished.

    Parameters
    ----------
    config, run_dir, resume, dataset, network : as for :func:`~npdiff.training.train`
    callback : called with the record of every step
    progress : True shows a progress bar, False nothing; a function is called with (done, total)

    Returns
    -------
    the averaged network with its configuration

    Raises
    ------
    InputError, TrainingError, MemoryError
        As for :func:`~npdiff.training.train`.

    Examples
    --------
    >>> checkpoint = npdiff.fit(npdiff.Config(steps=100), "runs/first")  # doctest: +SKIP
    >>> npdiff.generate(checkpoint, [7, 7], guidance=2.0).shape          # doctest: +SKIP
    (2, 32, 32, 1)
    """
    path = Path(run_dir)
    if resume and finished(path, config):
        differing = [] if config is None else Run.open(path).config.differing(config)
        if _FILLED_IN.issuperset(differing):
            return _result(path, config, network, dataset)
    steps = train(config, path, resume=resume, dataset=dataset, network=network)
    total = Run.open(path).config.steps if config is None else config.steps
    last: Progress | None = None
    bar = progress_bar(total, "step", "training", progress=progress)
    try:
        with bar:
            for last in steps:
                if bar.n == 0 and last.step > 1:  # resumed
                    bar.update(last.step - 1)
                    bar.unpause()
                bar.update(last.step - bar.n)
                bar.set_postfix_str(
                    f"loss {last.loss:.4f}, {last.images_per_second:.0f} images/s", refresh=False
                )
                if callback is not None:
                    callback(last)
    except KeyboardInterrupt:
        reached = f"after step {last.step}, which is saved" if last else "before its first step"
        raise KeyboardInterrupt(
            f"training stopped {reached}; continue with fit(None, {str(path)!r}, resume=True)"
        ) from None
    finally:
        steps.close()  # type: ignore[attr-defined]  # a generator: closing it saves the state
    return _result(path, config, network, dataset)


def finished(path: Path, config: Config | None = None) -> bool:
    """Whether the run in a directory has taken all its steps, or those of ``config``."""
    if not (path / "model.safetensors").is_file():
        return False
    run = Run.open(path)
    planned = run.config.steps if config is None else config.steps
    records = run.metrics()
    return bool(records) and records[-1]["step"] >= planned


def _result(path: Path, config: Config | None, network: Any, dataset: Any) -> Checkpoint:
    objects = {} if config is None else {name: getattr(config, name) for name in PARTS}
    if dataset is not None:
        objects["data"] = dataset
    network = None if isinstance(network, str | dict) else network
    return load_model(path / "model.safetensors", network, **objects)
