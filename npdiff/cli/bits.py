"""Bits per dimension of a trained model on its data: what `npdiff likelihood` measures."""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff import data, likelihood, tree
from npdiff.acceleration import frozen_weights
from npdiff.backend import Array, module, to_host
from npdiff.denoiser import Denoise, Denoiser, clip_x0, inference_network
from npdiff.errors import InputError
from npdiff.generation import GPU_ROWS
from npdiff.likelihood import Term
from npdiff.objective.bound import bits_per_dim
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.runs import Checkpoint
from npdiff.runs.dataset import load_data
from npdiff.runtime.progress import progress_bar
from npdiff.runtime.threads import ThreadPool
from npdiff.samplers import keyed_noise
from npdiff.schedules import SCHEDULES
from npdiff.slices import split
from npdiff.spacings import SPACINGS
from npdiff.variances import (
    MeanPosteriorVariance,
    estimate_mean_posterior_variance,
    optimal_variance,
)

#: Rows of the table of the bound's steps.
GROUPS = 8


class Subject:
    """A model, images of a split of its data, and what is drawn for each of them.

    Raises
    ------
    InputError
        If the split has too few images.
    """

    def __init__(self, checkpoint: Checkpoint, arguments: argparse.Namespace, part: str) -> None:
        self.checkpoint, self.arguments, self.part = checkpoint, arguments, part
        config, count = checkpoint.config, arguments.samples
        images = load_data(config.replace(split=part))
        if count > len(images.images):
            raise InputError(
                f"--samples {count}: there are {len(images.images)} {part} images, ask for no more"
            )
        self.xp = module(arguments.backend)
        self.model = tree.map(self.xp.asarray, checkpoint.model)
        self.dtype = tree.leaves(checkpoint.model)[0].dtype.type
        self.schedule, self.row = (
            SCHEDULES.resolve(config.schedule),
            PARAMETERIZATIONS.resolve(config.prediction),
        )
        self.images = images.images[:count]
        labeled = config.model.get("classes") is not None
        self.labels = images.labels[:count] if labeled else None
        self.dimensions = int(np.prod(self.images.shape[1:]))
        size = GPU_ROWS if arguments.backend == "cupy" else min(config.shard, -(-count // 2))
        self.shards = split(count, size)

    def key(self, shard: slice, stream: str) -> Key:
        """What is drawn for the images of a shard, whatever the shard."""
        indices = np.arange(len(self.images))[shard]
        return Key(self.arguments.seed, indices, stream=f"likelihood/{self.part}/{stream}")

    def conditions(self, shard: slice) -> dict[str, Array | None]:
        """What the network is told beside the time."""
        labels = self.labels
        return {"labels": None if labels is None else self.xp.asarray(labels[shard])}

    def denoiser(self, shard: slice) -> Denoise:
        """The model on the images of a shard, its estimates kept within the range of pixels."""
        network = inference_network(self.model, **self.conditions(shard))
        return clip_x0(Denoiser(network, self.schedule, self.row), self.schedule)

    def pixels(self, shard: slice) -> Array:
        """The images of a shard as the model sees them."""
        return data.to_float(self.xp.asarray(self.images[shard]), self.dtype)


def by_bound(
    subject: Subject, arguments: argparse.Namespace, workers: ThreadPool
) -> dict[str, Any]:
    """The bound and its terms, in bits per dimension."""
    schedule, steps = subject.schedule, arguments.steps or 100
    timesteps = SPACINGS[arguments.spacing](schedule, steps)
    variance: Any = arguments.variance
    if variance == "optimal":
        variance = optimal_variance(schedule, spread(subject, timesteps, workers))

    def one(shard: slice, tick: Callable[[], None]) -> list[Term]:
        x_0 = subject.pixels(shard)
        noise = keyed_noise(subject.key(shard, "bound"), x_0)
        terms = []
        for term in likelihood.bound(
            subject.denoiser(shard), schedule, x_0, timesteps, noise,
            variance=variance, decoder=arguments.decoder,
        ):  # fmt: skip
            terms.append(term._replace(nats=to_host(term.nats).astype(np.float64)))
            tick()
        return terms

    found = over_shards(one, subject, workers, steps + 1, "bound")
    terms = [
        parts[0]._replace(nats=np.concatenate([part.nats for part in parts]))
        for parts in zip(*found, strict=True)
    ]
    parts = np.array_split(np.arange(1, steps), min(GROUPS, max(1, steps - 1)))
    rows = [terms[:1], *(terms[i[0] : i[-1] + 1] for i in parts if i.size), terms[-1:]]
    return {
        "steps": steps,
        "spacing": arguments.spacing,
        "variance": arguments.variance,
        "decoder": arguments.decoder,
        **mean_and_error(sum(term.nats for term in terms), subject),
        "terms": [
            {
                "kind": row[0].kind,
                "from": row[0].t,
                "to": row[-1].s,
                "count": len(row),
                **mean_and_error(sum(term.nats for term in row), subject),
            }
            for row in rows
        ],
    }


def spread(tested: Subject, timesteps: np.ndarray, workers: ThreadPool) -> MeanPosteriorVariance:
    """How far the model's estimates are from as many training images, at every time."""
    subject = Subject(tested.checkpoint, tested.arguments, "train")

    def one(shard: slice, tick: Callable[[], None]) -> dict[float, float]:
        x_0, denoise = subject.pixels(shard), subject.denoiser(shard)

        def counted(x: Array, t: Any) -> tuple[Array, Array]:
            tick()
            return denoise(x, t)

        key = subject.key(shard, "spread")
        of_time = estimate_mean_posterior_variance(counted, subject.schedule, x_0, timesteps, key)
        return {float(t): of_time(float(t)) for t in timesteps if t > 0.0}

    known: list[dict[float, float]] = over_shards(
        one, subject, workers, len(timesteps) - 1, "variances"
    )
    sizes = [shard.stop - shard.start for shard in subject.shards]
    return lambda t: float(np.average([one[float(t)] for one in known], weights=sizes))


def by_ode(subject: Subject, arguments: argparse.Namespace, workers: ThreadPool) -> dict[str, Any]:
    """The flow's bits per dimension."""
    steps = arguments.steps or 20

    def one(shard: slice, tick: Callable[[], None]) -> np.ndarray:
        key = subject.key(shard, "ode")
        x = likelihood.dequantized(subject.xp.asarray(subject.images[shard]), key, subject.dtype)
        linearize = likelihood.by_pullback(
            subject.model, subject.schedule, subject.row, **subject.conditions(shard)
        )
        along = likelihood.probes(key, x, arguments.probes)
        density = x
        for moment in likelihood.flow_log_density(
            linearize, subject.schedule, x, steps=steps, along=along
        ):
            density = moment.log_density
            tick()
        return to_host(density).astype(np.float64)

    densities = np.concatenate(over_shards(one, subject, workers, steps, "flow"))
    bits = likelihood.bits_of_bytes(densities, subject.dimensions)
    return {"steps": steps, "probes": arguments.probes, **summary(bits)}


def over_shards(
    one: Callable[[slice, Callable[[], None]], Any],
    subject: Subject,
    workers: ThreadPool,
    ticks: int,
    about: str,
) -> list[Any]:
    """The results of the shards in their order, with a progress bar."""
    with frozen_weights(), progress_bar(ticks * len(subject.shards), "step", about) as progress:
        return workers.map(lambda shard: one(shard, progress.update), subject.shards)


def mean_and_error(nats: np.ndarray, subject: Subject) -> dict[str, float]:
    """Nats of each image as the mean of their bits per dimension, and its standard error."""
    return summary(bits_per_dim(nats, subject.dimensions))


def summary(bits: np.ndarray) -> dict[str, float]:
    """A mean and its standard error."""
    error = float(bits.std(ddof=1) / np.sqrt(bits.size))
    return {"bits_per_dim": float(bits.mean()), "standard_error": error}
