"""The calculus: functions that return their value and their pullback.

No parameters, no state, channels last, any number of spatial axes, NumPy or CuPy. Every function
here is the definition; faster versions of single functions are proved equal to these.
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
