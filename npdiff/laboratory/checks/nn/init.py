"""Checks of weight initialization."""

import math

import numpy as np

from npdiff.backend import to_host
from npdiff.laboratory.registry import Case, check, relative
from npdiff.nn import init


@check(
    "variance-scaling", method="maximum and mean square of many weights", tolerance=0.018, cases=3
)
def moments_of_weights(case: Case) -> float:
    """Variance and mean, in standard deviations of one weight (allowed: 7 of the mean's); bound."""
    shape, scale = case.choose([((300, 500), 1.0), ((5, 3, 40, 250), 2.5), ((100, 1500), 0.25)])
    w = init.variance_scaling(np.random.default_rng(case.index), shape, scale).astype(np.float64)
    variance = scale / math.prod(shape[:-1])
    bound = relative(np.abs(w).max(), (3.0 * variance) ** 0.5) * 18.0
    # The variance of the square of a uniform sample is 4/5 of its squared mean.
    square = abs((w**2).mean() / variance - 1.0) / 0.8**0.5
    mean = abs(w.mean()) / variance**0.5
    return max(bound, square, mean)


@check("variance-scaling", method="the bits of the generator", tolerance=1e-6, cases=3)
def weights_from_uniform_samples(case: Case) -> float:
    """-r + 2 r u element by element, from a generator in the same state; 0 for scale 0."""
    shape, scale = case.choose([((3, 5), 1.0), ((3, 2, 4, 2), 0.3), ((7, 2), 0.0)])
    w = init.variance_scaling(np.random.default_rng(case.index), shape, scale)
    u = np.random.default_rng(case.index).random(shape)
    r = (3.0 * scale / (w.size / shape[-1])) ** 0.5
    return relative(to_host(w), (2.0 * u - 1.0) * r)
