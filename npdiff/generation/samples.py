"""Samples of a trained model in one call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npdiff.backend import to_host
from npdiff.data import Dataset
from npdiff.errors import InputError
from npdiff.generation.config import SamplingConfig
from npdiff.generation.frames import enough_memory, trajectory
from npdiff.parameterization import Parameterization
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runs.run import load_model
from npdiff.runtime.progress import ProgressOption, progress_bar
from npdiff.runtime.threads import ThreadPool
from npdiff.schedules import Schedule

#: The model that ships with the package.
SHIPPED = Path(__file__).parents[1] / "models" / "digits.safetensors"


def load(
    path: str | Path | None = None,
    *,
    network: Any = None,
    schedule: Schedule | None = None,
    prediction: Parameterization | None = None,
    dataset: Dataset | None = None,
) -> Checkpoint:
    """A trained model: of a run directory, of a model file, or the model that ships with npdiff.

    Parameters
    ----------
    path : the run directory or the file; None for the model that ships with npdiff
    network : for a run with its own network, a network of that class, whose weights are replaced
    schedule, prediction, dataset : the objects that the run was trained with, if it did not use
        names; the data set is needed only by functions that load training or test images

    Raises
    ------
    InputError
        If there is no model at ``path``, it cannot be used, or it needs an object.
    """
    if path is None and not SHIPPED.is_file():
        raise InputError(
            "this copy of npdiff has no model: train one with "
            "`npdiff train --preset digits --out runs/digits` and give its path"
        )
    return load_model(
        SHIPPED if path is None else path,
        network,
        schedule=schedule,
        prediction=prediction,
        data=dataset,
    )


def generate(
    checkpoint: Checkpoint,
    labels: Sequence[int] | np.ndarray | None = None,
    *,
    count: int | None = None,
    indices: Sequence[int] | np.ndarray | None = None,
    seed: int = 0,
    backend: str = "numpy",
    threads: int | None = None,
    progress: ProgressOption = True,
    **options: Any,
) -> np.ndarray:
    """Samples of a trained model.

    Parameters
    ----------
    checkpoint : from :func:`load`
    labels : one per sample; None for samples without a label
    count : the number of samples, if there are no labels
    indices : the index of each sample's noise, by default 0, 1, 2, ...
    seed : of the noise
    backend : ``"numpy"`` or ``"cupy"``
    threads : the number of threads; by default one per CPU
    progress : True shows a progress bar (work of a fraction of a second shows none), False nothing;
        a function is called with (done, total)
    options : the fields of :class:`~npdiff.generation.SamplingConfig`

    Returns
    -------
    float32 array (N, H, W, C) on the host, in [-1, 1] unless ``clip=False``

    Raises
    ------
    InputError
        If a label, a name or a value cannot be used.
    MemoryError
        If the samples need too much memory.

    Examples
    --------
    >>> from npdiff.generation import generate, load
    >>> generate(load(), [7, 7], guidance=2.0, sampler="heun", steps=2).shape
    (2, 32, 32, 1)
    """
    chosen, indices = resolve_labels(checkpoint, labels, count, indices)
    unknown = sorted(options.keys() - SamplingConfig.__dataclass_fields__.keys())
    if unknown:
        known = ", ".join(SamplingConfig.__dataclass_fields__)
        raise InputError(f"unknown option {unknown[0]!r} of generate(): choose among {known}")
    config = SamplingConfig(**options)
    workers = ThreadPool(1 if backend == "cupy" else threads)
    with workers, enough_memory(len(indices), backend):
        frames = trajectory(
            checkpoint, chosen, indices, config, seed=seed, backend=backend, workers=workers
        )
        with progress_bar(
            config.steps, "step", f"sampling {len(indices)}", progress=progress
        ) as bar:
            for frame in frames:
                if frame.t > 0.0:
                    bar.update()
    return to_host(frame.x)


def resolve_labels(
    checkpoint: Checkpoint,
    labels: Sequence[int] | np.ndarray | None,
    count: int | None = None,
    indices: Sequence[int] | np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray]:
    """The label of each sample (or None) and its index, checked against the model.

    Raises
    ------
    InputError
        If a label is unknown to the model, or labels, count and indices do not match.
    """
    names = checkpoint.config.classes
    conditional = checkpoint.config.model.get("classes") is not None
    if labels is None:
        n = len(indices) if count is None and indices is not None else 1 if count is None else count
        chosen = None
    else:
        chosen = np.asarray(labels)
        n = chosen.size
        if not conditional:
            raise InputError("this model was trained without labels: pass labels=None")
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise InputError(
                f"labels must be a 1-D array of integers, got {chosen.dtype} of shape "
                f"{chosen.shape}"
            )
        for label in chosen[(chosen < 0) | (chosen > len(names))]:
            raise InputError(
                f"unknown label {label}: the labels of this model are 0 to {len(names) - 1}, and "
                f"{len(names)} for none"
            )
        if count not in (None, n):
            raise InputError(f"got {n} labels for {count} samples: give one label per sample")
    index = np.arange(n) if indices is None else np.asarray(indices)
    if n < 1 or index.shape != (n,):
        raise InputError(f"expected one index for each of {n} samples, 1 or more, got {index.size}")
    return chosen, index
