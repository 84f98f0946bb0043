"""The networks that are timed, and the workload: weights, images, timesteps, labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff import data, nn, tree
from npdiff.backend import Array
from npdiff.data import Dataset
from npdiff.runs import PRESETS, Config

#: Largest number of samples in a shard, as in the presets.
SHARD = 32


@dataclass(frozen=True)
class Network:
    """A network, given by its options.

    Attributes
    ----------
    name : name of the network in tables
    shape : (H, W, C) of one image
    model : options of :meth:`npdiff.nn.UNet.init`; for a block of attention only ``heads``
    classes : number of labels, or None
    attention : whether it is only a block of attention, over H W positions of C channels
    """

    name: str
    shape: tuple[int, ...]
    model: dict[str, Any]
    classes: int | None = None
    attention: bool = False


def _unet(
    name: str, channels: int, width: int, multipliers: tuple[int, ...], size: int = 32
) -> Network:
    """Two residual blocks per level; attention at the last level (8x8 of 32x32) and the middle."""
    model = {
        "width": width, "multipliers": multipliers, "blocks": 2,
        "attention": (len(multipliers) - 1,), "heads": 4, "patch": 1,
    }  # fmt: skip
    return Network(name, (size, size, channels), model)


def _preset(name: str) -> Network:
    return Network(name, (32, 32, 1), PRESETS[name].model, classes=10)


#: The networks by name. S, M and L have no labels; ``tiny`` is for tests.
BENCHMARK_NETWORKS: dict[str, Network] = {
    "S": _unet("S", 1, 32, (1, 2, 2)),
    "M": _unet("M", 3, 64, (1, 2, 2)),
    "L": _unet("L", 3, 64, (1, 2, 4)),
    "digits": _preset("digits"),
    "digits-large": _preset("digits-large"),
    "tiny": Network(
        "tiny", (8, 8, 1),
        {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (1,), "heads": 2}, classes=3,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """One batch for a network, the same for every contender.

    Attributes
    ----------
    network : the network's options
    config : the training configuration
    model : the network, without zero weights, so that no layer is trivial
    dataset : images of noise, with labels
    x : a batch (N, H, W, C) in [-1, 1]
    timestep : the network's timesteps, (N,)
    labels : (N,), or None
    target : the target of the network's output, with the shape of ``x``
    """

    network: Network
    config: Config
    model: Any
    dataset: Dataset
    x: Array
    timestep: Array
    labels: np.ndarray | None
    target: Array


def workload(network: Network, batch: int, threads: int = 2, backend: str = "numpy") -> Workload:
    """The workload of a network; the same arguments give the same workload. Arrays are on the host.

    The batch is trained in one shard for each thread, at least two, of at most 32 samples.
    """
    rng = np.random.default_rng(0)
    names = tuple(str(k) for k in range(network.classes or 0))
    channels = network.shape[-1]
    options = network.model
    config = Config(
        shape=network.shape,
        classes=names,
        model={} if network.attention else {**options, "channels": channels,
                                            "classes": network.classes},
        batch=batch,
        shard=min(SHARD, -(-batch // max(2, threads))),
        steps=10**6,
        backend=backend,
    )  # fmt: skip
    fresh: Any
    if network.attention:
        fresh = nn.AttentionBlock.init(rng, channels, heads=options["heads"])
    else:
        fresh = nn.UNet.init(0, **config.model)
    model = tree.map(
        lambda leaf: leaf + 0.02 * rng.standard_normal(leaf.shape).astype(np.float32), fresh
    )
    images = rng.integers(0, 256, (batch, *network.shape), dtype=np.uint8)
    labels = np.arange(batch) % max(1, network.classes or 0)
    return Workload(
        network=network,
        config=config,
        model=model,
        dataset=Dataset(images, labels, names),
        x=data.to_float(images),
        timestep=rng.uniform(1.0, 1000.0, batch).astype(np.float32),
        labels=labels if network.classes else None,
        target=rng.standard_normal(images.shape).astype(np.float32),
    )
