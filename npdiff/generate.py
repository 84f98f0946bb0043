"""From a trained model to samples: model, denoiser, guidance, clipping, sampler, in that order.

>>> from npdiff.generate import generate, load          # doctest: +SKIP
>>> from npdiff import pictures                         # doctest: +SKIP
>>> model = load("runs/digits")                         # doctest: +SKIP
>>> sevens = generate(model, [7] * 16, guidance=3.0)    # doctest: +SKIP
>>> pictures.save_png(pictures.grid(sevens), "sevens.png")  # doctest: +SKIP

A sample is a function of the model, its label, the settings, the seed and its own index, and not of
how many others are made beside it.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npdiff import tree
from npdiff.backend import Array, module, per_sample, to_host
from npdiff.denoiser import Denoise, Denoiser, clipped, heard
from npdiff.errors import InputError
from npdiff.grids import GRIDS
from npdiff.guidance import limited, paired, thresholded
from npdiff.parameterisation import ROWS
from npdiff.random import Key
from npdiff.samplers import Steps, keyed_noise, sample
from npdiff.schedules import SCHEDULES, Schedule
from npdiff.train.run import load_model
from npdiff.train.shards import Workers, forward
from npdiff.train.weights import Trained

#: The model that ships with the package.
SHIPPED = Path(__file__).parent / "models" / "digits.safetensors"

#: Rows that a GPU evaluates at a time: more only takes memory.
GPU_ROWS = 1024


def load(path: str | Path | None = None) -> Trained:
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


@dataclass(frozen=True)
class Settings:
    """How samples are made.

    Parameters
    ----------
    sampler : a key of :data:`npdiff.samplers.SAMPLERS`
    steps : of the sampler
    grid : a key of :data:`npdiff.grids.GRIDS`, which times the steps visit
    guidance : w of classifier-free guidance: 0 ignores the label, 1 is the model as it was trained,
        above 1 leans towards the label
    rescale : phi of :func:`npdiff.guidance.rescaled`, from 0 (none) to 1: the guided estimate of
        the data gets the contrast of the unguided one
    threshold : quantile of :func:`npdiff.guidance.thresholded`, which then takes the place of
        ``clip``; None for none
    interval : the noise levels sigma / alpha, from low to high, where guidance acts
        (:func:`npdiff.guidance.limited`); None for all
    clip : keep every estimate of the data within [-1, 1]
    options : the sampler's own (:func:`npdiff.samplers.options_of`): ``{"eta": 0.5}`` for ddim
    """

    sampler: str = "ddim"
    steps: int = 50
    grid: str = "trailing"
    guidance: float = 1.0
    rescale: float = 0.0
    threshold: float | None = None
    interval: tuple[float, float] | None = None
    clip: bool = True
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.grid not in GRIDS:
            raise InputError(f"unknown grid {self.grid!r}: choose one of {', '.join(GRIDS)}")
        if not math.isfinite(self.guidance):
            raise InputError(f"guidance is a finite number, 1 for none, got {self.guidance}")
        for name, share in (("rescale", self.rescale), ("threshold", self.threshold)):
            if share is not None and not 0.0 <= share <= 1.0:
                raise InputError(f"{name} is a number from 0 to 1, got {share}")
        low, high = self.interval or (0.0, 1.0)
        if not 0.0 <= low < high < math.inf:
            raise InputError(f"interval LOW HIGH: expected 0 <= LOW < HIGH, got {low} and {high}")


class Frame(NamedTuple):
    """A moment of sampling.

    Attributes
    ----------
    t : the time
    x : the state at that time
    x_0 : the estimate of the data made from it
    """

    t: float
    x: Array
    x_0: Array


def generate(
    trained: Trained,
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
    trained : from :func:`load`
    labels : one a sample; None for samples of no class in particular
    count : how many, where there are no labels
    indices : which draw each sample is, by default 0, 1, 2, ...: the same index is the same noise
    seed : of the noise
    backend : where to compute, ``"numpy"`` or ``"cupy"``
    threads : how many; by default one a CPU
    settings : the fields of :class:`Settings`

    Returns
    -------
    float32 array (N, H, W, C) on the host, in [-1, 1] unless ``clip=False``

    Raises
    ------
    InputError
        If a label, a name or a number cannot be used.
    """
    chosen, indices = places(trained, labels, count, indices)
    how = Settings(**settings)
    with Workers(1 if backend == "cupy" else threads) as workers:
        frames = trajectory(
            trained, chosen, indices, how, seed=seed, backend=backend, workers=workers
        )
        (last,) = deque(frames, maxlen=1)
    return to_host(last.x)


def places(
    trained: Trained,
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
    names = trained.config.classes
    conditional = trained.config.model.get("classes") is not None
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


def trajectory(
    trained: Trained,
    labels: np.ndarray | None,
    indices: np.ndarray,
    settings: Settings,
    *,
    seed: int,
    workers: Workers,
    backend: str = "numpy",
    asked: Callable[[], None] | None = None,
) -> Iterator[Frame]:
    """The way from noise to samples: one frame more than there are steps.

    Parameters
    ----------
    trained : from :func:`load`
    labels, indices : of each sample, from :func:`places`
    settings : how they are made
    seed : of the noise
    workers : the threads on which the network runs
    backend : where the arrays live
    asked : called whenever the sampler asks the denoiser

    Returns
    -------
    iterator of Frame; the last one's ``x`` are the samples

    Raises
    ------
    InputError
        Before the first step, if a setting cannot be used.
    """
    schedule = SCHEDULES[trained.config.schedule]()
    times = GRIDS[settings.grid](schedule, settings.steps)
    key = Key(seed, indices, stream="sample")
    x = start(key, schedule, trained, times[0], module(backend))
    denoise = denoiser(trained, labels, settings, schedule, workers=workers, backend=backend)
    noise = keyed_noise(key.fold("step"), x)
    if asked is not None:
        denoise = heard(denoise, asked)
    steps = sample(settings.sampler, denoise, schedule, x, times, noise, **settings.options)
    return film(float(times[0]), x, steps)


def film(t: float, x: Array, steps: Steps) -> Iterator[Frame]:
    """The frames of a sampler that starts from ``x`` at ``t``; a sample is its own estimate."""
    for step in steps:
        yield Frame(t, x, step.x_0)
        t, x = step.t, step.x
    yield Frame(t, x, x)


def start(key: Key, schedule: Schedule, trained: Trained, t: float, xp: Any) -> Array:
    """Where sampling begins: noise of the standard deviation that the process has at ``t``."""
    noise = key.fold("start").normal(trained.config.shape, xp)
    dtype = tree.leaves(trained.model)[0].dtype
    return (per_sample(schedule.sigma(t), noise) * noise).astype(dtype)


def denoiser(
    trained: Trained,
    labels: np.ndarray | None,
    settings: Settings,
    schedule: Schedule,
    *,
    workers: Workers,
    backend: str = "numpy",
) -> Denoise:
    """The model as a sampler sees it: guided towards the labels, its estimates clipped.

    With and without the label are evaluated as one batch of 2N, whose shards run on the threads.
    """
    xp, row, w = module(backend), ROWS[trained.config.row], settings.guidance
    model = tree.map(xp.asarray, trained.model)

    def unguided(chosen: np.ndarray | None) -> Denoise:
        beside = None if chosen is None else xp.asarray(chosen)
        network = sharded(model, workers, trained.config.shard, backend, labels=beside)
        return Denoiser(network, schedule, row)

    if labels is None or w == 1.0:
        denoise = unguided(labels)
    else:
        null = np.full_like(labels, trained.config.model["classes"])
        if w == 0.0 and settings.rescale == 0.0:
            denoise = unguided(null)
        else:
            denoise = paired(unguided(np.append(labels, null)), schedule, w, settings.rescale)
        if settings.interval:
            denoise = limited(denoise, unguided(labels), schedule, *settings.interval)
    if settings.threshold is not None:
        return thresholded(denoise, schedule, settings.threshold)
    return clipped(denoise, schedule) if settings.clip else denoise


def sharded(model: Any, workers: Workers, shard: int, backend: str, **conditions: Any) -> Any:
    """The network for a :class:`~npdiff.denoiser.Denoiser`, its rows shared out to the threads."""

    def network(x: Array, clock: Array) -> Array:
        share = -(-x.shape[0] // workers.threads)  # few rows: every thread gets some
        size = GPU_ROWS if backend == "cupy" else min(shard, share)
        return forward(model, x, clock, workers=workers, size=size, **conditions)

    return network
