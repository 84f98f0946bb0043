"""The kernel distance between two sets of features: with Inception's features, KID."""

from typing import NamedTuple

import numpy as np

from npdiff.backend import Array
from npdiff.metrics.features import BLOCK, check_features
from npdiff.slices import split_range


class KernelDistance(NamedTuple):
    """An estimate of the squared distance, and its standard error."""

    value: float
    standard_error: float


def kernel_distance(x: Array, y: Array) -> KernelDistance:
    r"""The unbiased squared maximum mean discrepancy with the cubic kernel.

    .. math::
        :label: kernel-distance

        \widehat{\mathrm{MMD}}{}^2 = \frac{\sum_{i \ne j} k(x_i, x_j)}{N (N - 1)}
            + \frac{\sum_{i \ne j} k(y_i, y_j)}{M (M - 1)}
            - \frac{2}{N M} \sum_{i, j} k(x_i, y_j) ,
        \qquad k(x, y) = \Big( \frac{x^\top y}{D} + 1 \Big)^3 .

    It is unbiased for every number of samples: if both sets have one distribution, its mean is
    zero, and it may be negative. The standard error comes from the effect of each sample on the
    estimate:

    .. math::
        :label: kernel-distance-error

        s^2 = \frac{4 \operatorname{var} a}{N} + \frac{4 \operatorname{var} b}{M}, \qquad
        a_i = \sum_{j \ne i} \frac{k(x_i, x_j)}{N - 1} - \sum_j \frac{k(x_i, y_j)}{M},
        \qquad b_i = \sum_{j \ne i} \frac{k(y_i, y_j)}{M - 1} - \sum_j \frac{k(x_j, y_i)}{N}

    Parameters
    ----------
    x, y : arrays, shape (N, D) and (M, D), at least two samples each

    Returns
    -------
    KernelDistance
        ``value`` and ``standard_error``, which is too large if the two distributions are equal.

    Raises
    ------
    InputError
        If there are fewer than two samples, or features that are not finite.

    Notes
    -----
    Bińkowski, Sutherland, Arbel and Gretton 2018, section 4. They average over random subsets;
    here all pairs are used, so the result is deterministic.
    """
    x, y = check_features(2, x=x, y=y)
    n, m = len(x), len(y)
    x_to_y, y_to_x = _sums(x, y)
    a = (_sums(x, x)[0] - _kernel(np.sum(x * x, axis=1), x)) / (n - 1) - x_to_y / m
    b = (_sums(y, y)[0] - _kernel(np.sum(y * y, axis=1), y)) / (m - 1) - y_to_x / n
    variance = 4.0 * (a.var(ddof=1) / n + b.var(ddof=1) / m)
    return KernelDistance(float(a.mean() + b.mean()), float(np.sqrt(variance)))


def _kernel(products: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(x.y / D + 1)^3, given the inner products."""
    base = products / x.shape[1] + 1.0
    return base * base * base


def _sums(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The kernel matrix k(x_i, y_j) summed over j, (N,), and over i, (M,)."""
    over_y, over_x = np.empty(len(x)), np.zeros(len(y))
    for rows in split_range(len(x), BLOCK):
        k = _kernel(x[rows] @ y.T, x)
        over_y[rows] = k.sum(axis=1)
        over_x += k.sum(axis=0)
    return over_y, over_x
