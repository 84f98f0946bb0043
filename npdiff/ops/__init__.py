"""Differentiable operations: functions that return their value and their pullback.

They have no parameters and no state, work on any number of spatial axes with channels last, and run
on NumPy and CuPy. Each is the definition; faster kernels are verified against it.
"""

from npdiff.ops._attention import attention
from npdiff.ops._conv import conv
from npdiff.ops._embedding import embedding, sinusoidal
from npdiff.ops._linear import linear, modulate, shift
from npdiff.ops.composite import norm_silu_conv, upsample_conv
from npdiff.ops.elementwise import dropout, gelu, silu, softmax
from npdiff.ops.loss import cross_entropy, squared_error
from npdiff.ops.norm import group_norm, layer_norm
from npdiff.ops.resample import average_pool, depth_to_space, space_to_depth, upsample
from npdiff.ops.shape import concat, split

__all__ = [
    "attention",
    "average_pool",
    "concat",
    "conv",
    "cross_entropy",
    "depth_to_space",
    "dropout",
    "embedding",
    "gelu",
    "group_norm",
    "layer_norm",
    "linear",
    "modulate",
    "norm_silu_conv",
    "shift",
    "silu",
    "sinusoidal",
    "softmax",
    "space_to_depth",
    "split",
    "squared_error",
    "upsample",
    "upsample_conv",
]
