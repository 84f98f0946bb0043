"""Checks of the network for points, written out, with all gradients."""

from typing import Any

import numpy as np

from npdiff import nn
from npdiff.laboratory.checks import _textbook as textbook
from npdiff.laboratory.checks.nn._textbook import _linear, _perturbed
from npdiff.laboratory.complex_step import compare_trees
from npdiff.laboratory.registry import Case, check


@check("residual-layers", method="textbook ops, complex step", tolerance=1e-11, cases=2)
def residual_layers_written_out(case: Case) -> float:
    """The layers of the MLP one after the other, with and without labels."""
    labels = case.choose([None, np.array([2, 0, 1])])

    def f(mlp: Any, x: Any, t: Any) -> Any:
        half = mlp.time.first.w.shape[0] // 2
        angles = t[:, None] * 10_000.0 ** (-np.arange(half) / half)
        h = _linear(np.concatenate([np.cos(angles), np.sin(angles)], axis=1), mlp.time.first)
        e = _linear(textbook.silu(h), mlp.time.second)
        e = e + mlp.label.table[[3, 3, 3] if labels is None else labels]
        h = _linear(x, mlp.inward)
        for layer in mlp.layers:
            h = h + _linear(textbook.silu(h + e), layer)
        return _linear(h, mlp.outward)

    mlp = _perturbed(case, nn.MLP.init(3, width=6, depth=2, classes=3))
    x, t = case.rng.standard_normal((3, 2)), case.rng.uniform(0.5, 9.0, 3)
    given = {"labels": None if labels is None else case.array(labels)}
    return max(compare_trees(case, mlp, f, x, t, options=given))
