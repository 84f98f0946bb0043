"""Checks of features, and squared distances between them block by block."""

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.errors import InputError

BLOCK = 1024  # rows at a time: 1024 x 10,000 distances are 80 MB


def check_features(least: int, **named: Array) -> list[np.ndarray]:
    """The features as float64 arrays on the host, (N, D) each with the same D.

    Raises
    ------
    InputError
        If an array is not two-dimensional, has fewer than ``least`` samples or non-finite entries,
        or if their numbers of features differ.
    """
    out: list[np.ndarray] = []
    for name, given in named.items():
        x = np.asarray(to_host(given))
        if x.ndim != 2 or x.dtype.kind not in "fiu" or x.shape[1] == 0:
            raise InputError(
                f"{name}: expected real features of shape (samples, features), "
                f"got {x.dtype} of shape {x.shape}"
            )
        if len(x) < least:
            raise InputError(f"{name}: {len(x)} samples are too few, give at least {least}")
        x = x.astype(np.float64)
        if not np.isfinite(x).all():
            bad = int((~np.isfinite(x)).any(axis=1).sum())
            raise InputError(f"{name}: the features of {bad} of {len(x)} samples are not finite")
        if out and x.shape[1] != out[0].shape[1]:
            raise InputError(
                f"{name}: {x.shape[1]} features, but {next(iter(named))} has {out[0].shape[1]}: "
                "both must come from the same network"
            )
        out.append(x)
    return out


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    r"""The squares :math:`\lVert x_i - y_j \rVert^2` of all pairs, (N, M), from the inner products.

    Values below the rounding error of that sum are set to zero, so that equal points have distance
    zero.
    """
    total = np.sum(x**2, axis=1)[:, None] + np.sum(y**2, axis=1)[None, :]
    squared = total - 2.0 * (x @ y.T)
    return np.where(squared > 1e-13 * total, squared, 0.0)
