"""Checks of the residual block, written out, with all gradients."""

from typing import Any

import numpy as np

from npdiff import nn
from npdiff.laboratory.checks import _textbook as textbook
from npdiff.laboratory.checks.nn._textbook import _linear, _norm, _perturbed
from npdiff.laboratory.complex_step import compare_trees
from npdiff.laboratory.registry import Case, check
from npdiff.random import Key


@check("residual-block", method="textbook ops, complex step", tolerance=1e-11, cases=4)
def residual_block_written_out(case: Case) -> float:
    """AdaGN or an added embedding, with and without a projected skip; every gradient."""
    adagn, features = case.choose([(True, 8), (False, 8), (True, 4), (False, 4)])
    block = nn.ResBlock.init(case.rng, 4, features, 3, dims=1, adagn=adagn, dropout=0.4)
    key = case.choose([None, Key(1, (0, 1), 5, "dropout")])
    uniform = np.ones((2, 4, features)) if key is None else key.uniform((4, features))
    kept = np.where(uniform >= 0.4, 1.0 if key is None else 1.0 / 0.6, 0.0)

    def f(block: Any, x: Any, e: Any) -> Any:
        h = textbook.conv(textbook.silu(_norm(x, block.norm1)), block.conv1.w, block.conv1.b)
        a = _linear(e, block.embed)[:, None]
        if adagn:
            h = (1.0 + a[..., :features]) * _norm(h, block.norm2) + a[..., features:]
        else:
            h = _norm(h + a, block.norm2)
        h = textbook.conv(kept * textbook.silu(h), block.conv2.w, block.conv2.b)
        return h + (x if block.skip is None else _linear(x, block.skip))

    x, e = case.rng.standard_normal((2, 4, 4)), case.rng.standard_normal((2, 3))
    return max(compare_trees(case, _perturbed(case, block), f, x, e, options={"key": key}))
