"""A model, labels and a seed to samples, in one call."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npdiff.backend import to_host
from npdiff.errors import InputError
from npdiff.generation.config import SamplingConfig
from npdiff.generation.frames import enough_memory, trajectory
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runs.run import load_model
from npdiff.runtime.threads import ThreadPool

#: The model that ships with the package.
SHIPPED = Path(__file__).parents[1] / "models" / "digits.safetensors"


def load(path: str | Path | None = None) -> Checkpoint:
    """A trained model: of a run directory, of a model file, or the one that ships with npdiff.

    Raises
    ------
    InputError
        If there is none at ``path``, or it cannot be used.
    """
    if path is None and not SHIPPED.is_file():
        raise InputError(
            "no model ships with this copy of npdiff: train one with "
            "`npdiff train --preset digits --out runs/digits` and name it"
        )
    return load_model(SHIPPED if path is None else path)


def generate(
    checkpoint: Checkpoint,
    labels: Sequence[int] | np.ndarray | None = None,
    *,
    count: int | None = None,
    indices: Sequence[int] | np.ndarray | None = None,
    seed: int = 0,
    backend: str = "numpy",
    threads: int | None = None,
    **settings: Any,
) -> np.ndarray:
    """Samples of a trained model.

    Parameters
    ----------
    checkpoint : from :func:`load`
    labels : one a sample; None for samples of no class in particular
    count : how many, where there are no labels
    indices : which draw each sample is, by default 0, 1, 2, ...: the same index is the same noise
    seed : of the noise
    backend : where to compute, ``"numpy"`` or ``"cupy"``
    threads : how many; by default one a CPU
    settings : the fields of :class:`~npdiff.generation.SamplingConfig`

    Returns
    -------
    float32 array (N, H, W, C) on the host, in [-1, 1] unless ``clip=False``

    Raises
    ------
    InputError
        If a label, a name or a number cannot be used.
    MemoryError
        If there is too little of it for so many.
    """
    chosen, indices = resolve_labels(checkpoint, labels, count, indices)
    how = SamplingConfig(**settings)
    workers = ThreadPool(1 if backend == "cupy" else threads)
    with workers, enough_memory(len(indices), backend):
        frames = trajectory(
            checkpoint, chosen, indices, how, seed=seed, backend=backend, workers=workers
        )
        (last,) = deque(frames, maxlen=1)
    return to_host(last.x)


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
        If a label is none of the model's, or the numbers of things differ.
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
            raise InputError("this model was trained without labels: ask for none")
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise InputError(f"labels are a row of integers, got {chosen.dtype} {chosen.shape}")
        for label in chosen[(chosen < 0) | (chosen > len(names))]:
            raise InputError(f"unknown label {label}: this model knows 0 to {len(names) - 1}")
        if count not in (None, n):
            raise InputError(f"{n} labels were given for {count} samples: give one each")
    index = np.arange(n) if indices is None else np.asarray(indices)
    if n < 1 or index.shape != (n,):
        raise InputError(f"expected one index for each of {n} samples, 1 or more, got {index.size}")
    return chosen, index
