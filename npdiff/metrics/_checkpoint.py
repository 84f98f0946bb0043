"""Metrics of a checkpoint's samples."""

import dataclasses
from typing import Any

import numpy as np

from npdiff import data
from npdiff.errors import InputError
from npdiff.generation import SamplingConfig
from npdiff.generation.recording import sample_frames
from npdiff.metrics._evaluate import Evaluation, evaluate
from npdiff.options import spell
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runtime.progress import ProgressOption


def evaluate_checkpoint(
    checkpoint: Checkpoint,
    *,
    count: int = 500,
    config: SamplingConfig | None = None,
    seed: int = 0,
    threads: int | None = None,
    backend: str = "numpy",
    progress: ProgressOption = True,
    **settings: Any,
) -> Evaluation:
    """Sample from a model of the shipped digits and evaluate the samples.

    Parameters
    ----------
    checkpoint : from :func:`npdiff.load`
    count : the number of samples, with the labels of the first test digits
    config : how to sample
    seed : of the noise
    threads : by default one for each CPU
    backend : ``"numpy"`` or ``"cupy"``
    progress : True shows a progress bar, False nothing; a function is called with (done, total)
    settings : fields of :class:`~npdiff.generation.SamplingConfig`: ``guidance=2.0, steps=25``

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        If the model was trained on other data, or there are fewer test digits than samples.
    """
    labels = _labels(checkpoint, count)
    config = dataclasses.replace(SamplingConfig() if config is None else config, **settings)
    frames = sample_frames(
        checkpoint, labels, np.arange(count), config, seed=seed, threads=threads,
        backend=backend, keep=slice(1), progress=progress,
    )  # fmt: skip
    return evaluate(frames[-1].x, labels)


def _labels(checkpoint: Checkpoint, count: int) -> np.ndarray | None:
    """The labels of the first test digits; None for a model without classes."""
    config = checkpoint.config
    if config.data != "digits":
        raise InputError(
            "these metrics are for models of the digits that ship with npdiff, and this model was "
            f"trained on {spell(config.data)}: compare features of another network with "
            "npdiff.metrics.frechet_distance and the like"
        )
    labels = data.load("digits", "test").labels
    if count > len(labels):
        raise InputError(
            f"{count} samples are compared with as many test digits, and there are {len(labels)}: "
            "take fewer samples"
        )
    return labels[:count] if config.model.get("classes") is not None else None
