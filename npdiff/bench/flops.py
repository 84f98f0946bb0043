"""The number of floating-point operations of a network, by the definitions of its layers.

A multiplication and an addition count as two. Matrix products, convolutions and attention are
counted, all but a few percent of the total; every convolution is counted as a direct one. The
pullback counts as two forward passes: one product for each of the two factors.
"""

import math
from typing import Any

from npdiff import nn, tree
from npdiff.bench.networks import Network


def forward_flops(network: Network, model: Any) -> int:
    """Operations of one evaluation for one image."""
    height, width = network.shape[:2]
    if network.attention:
        return _attention(model, height * width)
    patch = model.patch
    positions = (height // patch) * (width // patch)
    total = _maps(model.time, 1) + _maps(model.stem, positions)
    for layer in (*model.down, *model.middle, *model.up):
        if isinstance(layer, nn.Downsample):
            positions //= 4
        elif isinstance(layer, nn.Upsample):
            positions *= 4
        total += (
            _stage(layer, positions) if isinstance(layer, nn.Stage) else _maps(layer, positions)
        )
    return total + _maps(model.head, positions)


def training_flops(network: Network, model: Any) -> int:
    """Operations of one forward pass and one pullback for one image."""
    return 3 * forward_flops(network, model)


def _maps(layer: Any, positions: int) -> int:
    """Operations of layers whose arrays of two or more axes are applied at every position."""
    return sum(2 * math.prod(w.shape) * positions for w in tree.leaves(layer) if w.ndim > 1)


def _stage(stage: Any, positions: int) -> int:
    block = stage.res
    total = _maps(block.embed, 1) + _maps(block.replace(embed=None), positions)
    return total + (0 if stage.attention is None else _attention(stage.attention, positions))


def _attention(block: Any, positions: int) -> int:
    channels = block.attention.out.w.shape[-1]
    return _maps(block, positions) + 4 * positions * positions * channels
