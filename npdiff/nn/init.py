"""Where parameters start."""

import math

import numpy as np


def variance_scaling(
    rng: np.random.Generator, shape: tuple[int, ...], scale: float = 1.0
) -> np.ndarray:
    r"""Uniform weights that keep the variance of what passes through them, float32.

    .. math::
        :label: variance-scaling

        w \sim \mathrm{U}(-r, r), \qquad r = \sqrt{3 s / \text{fan}_\text{in}},
        \qquad \operatorname{Var} w = s / \text{fan}_\text{in}

    Parameters
    ----------
    rng : where the numbers come from, on the host
    shape : ``(*K, C, F)``; fan_in is the product of all sizes but the last
    scale : s; 0 gives zeros, for a layer that is to start as nothing

    Notes
    -----
    Glorot and Bengio 2010; He et al. 2015; s = 1 is LeCun's choice.
    """
    bound = math.sqrt(3.0 * scale / math.prod(shape[:-1]))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def zeros(size: int) -> np.ndarray:
    """The start of a bias."""
    return np.zeros(size, dtype=np.float32)


def ones(size: int) -> np.ndarray:
    """The start of a gain."""
    return np.ones(size, dtype=np.float32)
