"""Textbook forms of the ops that layers are made of, for real and complex arrays.

Written for clarity, and differently from the package: one position, one group, one query at a time,
on the host. Where a definition is analytic, the form here is analytic too.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np


def silu(x: np.ndarray) -> np.ndarray:
    """x times the logistic function."""
    return x / (1.0 + np.exp(-x))


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    """The tanh form of GELU, written as a logistic function of twice its argument."""
    return x / (1.0 + np.exp(-np.sqrt(8.0 / np.pi) * (x + 0.044715 * x**3)))


def group_norm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, groups: int, eps: float
) -> np.ndarray:
    """Group normalization, one sample and one group at a time."""
    y = np.zeros(x.shape, dtype=np.result_type(x, gamma, beta))
    channels = np.split(np.arange(x.shape[-1]), groups)
    for n, own in product(range(x.shape[0]), channels):
        values = x[n][..., own].ravel()
        mean = sum(values) / values.size
        variance = sum((value - mean) ** 2 for value in values) / values.size
        for c in own:
            y[n, ..., c] = gamma[c] * (x[n, ..., c] - mean) / (variance + eps) ** 0.5 + beta[c]
    return y


def layer_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float) -> np.ndarray:
    """Layer normalization, one position at a time."""
    y = np.zeros(x.shape, dtype=np.result_type(x, gamma, beta))
    for at in np.ndindex(*x.shape[:-1]):
        mean = sum(x[at]) / x.shape[-1]
        variance = sum((value - mean) ** 2 for value in x[at]) / x.shape[-1]
        y[at] = gamma * (x[at] - mean) / (variance + eps) ** 0.5 + beta
    return y


def conv(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    stride: int = 1,
    pads: Sequence[tuple[int, int]] | None = None,
) -> np.ndarray:
    """Convolution, one output position at a time: the window of x against the kernel."""
    kernel, dims = w.shape[:-2], x.ndim - 2
    if pads is None:
        pads = [((k - 1) // 2, k - 1 - (k - 1) // 2) for k in kernel]
    padded = np.pad(x, [(0, 0), *pads, (0, 0)])
    sizes = [
        len(range(0, n - k + 1, stride)) for n, k in zip(padded.shape[1:-1], kernel, strict=True)
    ]
    y: Any = np.zeros((x.shape[0], *sizes, w.shape[-1]), dtype=np.result_type(x, w, b))
    for o in product(*map(range, sizes)):
        window = tuple(slice(stride * i, stride * i + k) for i, k in zip(o, kernel, strict=True))
        axes = (range(1, dims + 2), range(dims + 1))
        y[(slice(None), *o)] = np.tensordot(padded[(slice(None), *window)], w, axes) + b
    return y


def attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int, mask: np.ndarray | None = None
) -> np.ndarray:
    """Attention, one query of one head at a time, over the keys that the mask allows."""
    o = np.zeros(q.shape, dtype=np.result_type(q, k, v))
    d = q.shape[-1] // heads
    for n, i, head in product(range(q.shape[0]), range(q.shape[1]), range(heads)):
        own = slice(head * d, (head + 1) * d)
        visible = [j for j in range(k.shape[1]) if mask is None or mask[n, j]]
        weights = [np.exp(np.sum(q[n, i, own] * k[n, j, own]) / d**0.5) for j in visible]
        for j, weight in zip(visible, weights, strict=True):
            o[n, i, own] += weight / sum(weights) * v[n, j, own]
    return o
