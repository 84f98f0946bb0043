"""Architecture: layers, blocks and networks, each a module whose gradient is a module."""

from collections.abc import Callable

from npdiff.nn.attention import (
    AttentionBlock,
    CrossAttention,
    FeedForward,
    SelfAttention,
    SpatialTransformer,
    TransformerBlock,
)
from npdiff.nn.blocks import ResBlock, Stage
from npdiff.nn.layers import (
    Conv,
    Downsample,
    Embedding,
    GroupNorm,
    LayerNorm,
    Linear,
    TimeEmbedding,
    Upsample,
)
from npdiff.nn.mlp import MLP
from npdiff.nn.monotone import MonotoneNetwork
from npdiff.nn.unet import UNet
from npdiff.registry import Registry
from npdiff.tree import Module

__all__ = [
    "MLP",
    "NETWORKS",
    "AttentionBlock",
    "Conv",
    "CrossAttention",
    "Downsample",
    "Embedding",
    "FeedForward",
    "GroupNorm",
    "LayerNorm",
    "Linear",
    "MonotoneNetwork",
    "ResBlock",
    "SelfAttention",
    "SpatialTransformer",
    "Stage",
    "TimeEmbedding",
    "TransformerBlock",
    "UNet",
    "Upsample",
]

#: Networks by name. An entry is a function that makes a freshly initialized network from its
#: options. Its parameters ``seed``, ``shape``, ``channels``, ``out_channels`` and ``classes``, if
#: it has them, get their values from the configuration of the run.
NETWORKS: Registry[Callable[..., Module], Module] = Registry(
    "network",
    "an npdiff.tree.Module that is called as network(x, timestep, labels=..., key=...)",
    lambda given: isinstance(given, Module) and callable(given),
    {"unet": UNet.init},
    call=True,
    common=("seed", "shape", "channels", "out_channels", "classes"),
)
