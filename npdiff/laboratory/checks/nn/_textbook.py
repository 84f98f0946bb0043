"""Helpers for layers written out with textbook ops."""

from typing import Any

import numpy as np

from npdiff import tree
from npdiff.laboratory.checks import _textbook as textbook
from npdiff.laboratory.registry import Case


def _perturbed(case: Case, layer: Any) -> Any:
    """A layer in float64 with every weight perturbed, so that no zero hides an error."""
    return tree.map(lambda w: w + 0.4 * case.rng.standard_normal(w.shape), layer)


def _linear(x: Any, layer: Any) -> Any:
    return np.einsum("...c,cf->...f", x, layer.w) + (0.0 if layer.b is None else layer.b)


def _norm(x: Any, layer: Any) -> Any:
    return textbook.group_norm(x, layer.gamma, layer.beta, layer.groups, layer.eps)
