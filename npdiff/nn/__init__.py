"""Architecture: layers, blocks and networks, each a module whose gradient is a module."""

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

__all__ = [
    "MLP",
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
