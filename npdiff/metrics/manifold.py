"""Precision and recall: the fraction of samples near the data, and of data near the samples."""

from typing import NamedTuple

import numpy as np

from npdiff.backend import Array
from npdiff.errors import InputError
from npdiff.metrics.features import BLOCK, check_features, squared_distances
from npdiff.slices import split_range


class PrecisionRecall(NamedTuple):
    """Precision and recall, fractions from 0 to 1."""

    precision: float
    recall: float


def precision_recall(real: Array, generated: Array, k: int = 3) -> PrecisionRecall:
    r"""Precision and recall of generated features, by k-nearest-neighbor manifolds.

    Around every sample of a set :math:`\Phi` lies a ball up to its k-th nearest neighbor in that
    set; a point is in the manifold of :math:`\Phi` if some ball contains it.

    .. math::
        :label: precision-recall

        \text{precision} = \frac{1}{|\Phi_g|} \sum_{\phi \in \Phi_g} f(\phi, \Phi_r) , \quad
        \text{recall} = \frac{1}{|\Phi_r|} \sum_{\phi \in \Phi_r} f(\phi, \Phi_g) , \quad
        f(\phi, \Phi) = \max_{\phi' \in \Phi} \big[ \lVert \phi - \phi' \rVert
            \le \lVert \phi' - \mathrm{NN}_k(\phi', \Phi) \rVert \big]

    Parameters
    ----------
    real, generated : arrays, shape (N, D) and (M, D), more than k samples each. The results depend
        on N and M: compare only values with the same N and M.
    k : the neighbor that gives the radius of a ball

    Raises
    ------
    InputError
        If there are too few samples, k is below 1, or features are not finite.

    Notes
    -----
    Kynkäänniemi et al. 2019, section 2; k = 3 is theirs.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    real, generated = check_features(k + 1, real=real, generated=generated)
    center = real.mean(axis=0)  # keeps all distances and loses fewer digits
    real, generated = real - center, generated - center
    in_real, in_generated = np.zeros(len(generated), bool), np.zeros(len(real), bool)
    reach_real, reach_generated = _squared_reach(real, k), _squared_reach(generated, k)
    for rows in split_range(len(generated), BLOCK):
        squared = squared_distances(generated[rows], real)
        in_real[rows] = (squared <= reach_real).any(axis=1)
        in_generated |= (squared <= reach_generated[rows, None]).any(axis=0)
    return PrecisionRecall(float(in_real.mean()), float(in_generated.mean()))


def _squared_reach(x: np.ndarray, k: int) -> np.ndarray:
    """The squared distance of each sample to its k-th nearest other sample."""
    out = np.empty(len(x))
    for rows in split_range(len(x), BLOCK):
        out[rows] = np.partition(squared_distances(x[rows], x), k, axis=1)[:, k]
    return out
