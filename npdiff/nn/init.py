"""Initial values of parameters."""

import math

import numpy as np


def variance_scaling(
    rng: np.random.Generator, shape: tuple[int, ...], scale: float = 1.0
) -> np.ndarray:
    r"""Uniform float32 weights that preserve the variance of their input.

    .. math::
        :label: variance-scaling

        w \sim \mathrm{U}(-r, r), \qquad r = \sqrt{3 s / \text{fan}_\text{in}},
        \qquad \operatorname{Var} w = s / \text{fan}_\text{in}

    Parameters
    ----------
    rng : a NumPy generator
    shape : ``(*K, C, F)``; fan_in is the product of all sizes but the last
    scale : s; 0 gives zeros, for the last layer of a residual branch

    Notes
    -----
    Glorot and Bengio 2010; He et al. 2015. s = 1 is LeCun initialization.
    """
    bound = math.sqrt(3.0 * scale / math.prod(shape[:-1]))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def zeros(size: int) -> np.ndarray:
    """Initial bias, float32."""
    return np.zeros(size, dtype=np.float32)


def ones(size: int) -> np.ndarray:
    """Initial gain, float32."""
    return np.ones(size, dtype=np.float32)
