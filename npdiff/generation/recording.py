"""All frames of sampling on the host, with a progress bar."""

import itertools

import numpy as np

from npdiff.backend import to_host
from npdiff.generation.config import SamplingConfig
from npdiff.generation.frames import Frame, enough_memory, trajectory
from npdiff.generation.samples import resolve_labels
from npdiff.runs.checkpoint import Checkpoint
from npdiff.runtime.progress import ProgressOption, progress_bar
from npdiff.runtime.threads import ThreadPool


def sample_frames(
    checkpoint: Checkpoint,
    labels: np.ndarray | None,
    indices: np.ndarray,
    config: SamplingConfig,
    *,
    seed: int = 0,
    threads: int | None = None,
    backend: str = "numpy",
    keep: slice | None = None,
    progress: ProgressOption = True,
) -> list[Frame]:
    """The frames from noise to samples, on the host; the progress bar counts steps and evaluations.

    Parameters
    ----------
    checkpoint : from :func:`npdiff.load`
    labels, indices : the label and the index of each sample
        (:func:`~npdiff.generation.resolve_labels`)
    config : how to sample
    seed : of the noise
    threads : by default one for each CPU
    backend : ``"numpy"`` or ``"cupy"``
    keep : which samples the frames before the last one hold; by default all
    progress : True shows a progress bar, False nothing; a function is called with (done, total)

    Returns
    -------
    list of Frame
        One more than there are steps; the ``x`` of the last one holds all samples.
    """
    labels, indices = resolve_labels(checkpoint, labels, indices=indices)
    kept, evaluations = [], itertools.count(1)
    bar = progress_bar(config.steps, "step", f"sampling {len(indices)}", progress=progress)

    def count_evaluation() -> None:
        bar.set_postfix_str(f"{next(evaluations)} evaluations", refresh=False)

    workers = ThreadPool(1 if backend == "cupy" else threads)
    with workers, enough_memory(len(indices), backend):
        frames = trajectory(
            checkpoint, labels, indices, config,
            seed=seed, backend=backend, workers=workers, callback=count_evaluation,
        )  # fmt: skip
        with bar:
            for frame in frames:
                kept_samples = slice(None) if frame.t == 0.0 or keep is None else keep
                x, x0_hat = to_host(frame.x), to_host(frame.x0_hat)
                kept.append(Frame(frame.t, x[kept_samples], x0_hat[kept_samples]))
                if frame.t > 0.0:
                    bar.update()
    return kept
