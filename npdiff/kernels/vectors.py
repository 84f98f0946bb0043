"""The state of training as flat arrays, for the optimizer's kernels."""

from typing import NamedTuple

from npdiff.backend import Array


class Vectors(NamedTuple):
    """Weights, both moments of AdamW, and the moving average, each one flat array."""

    model: Array
    first: Array
    second: Array
    average: Array
