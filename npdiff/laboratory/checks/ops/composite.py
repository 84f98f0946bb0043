"""Checks of fused operations."""

from typing import Any

import numpy as np

from npdiff import ops
from npdiff.backend import to_host
from npdiff.laboratory.checks import _textbook as textbook
from npdiff.laboratory.complex_step import compare
from npdiff.laboratory.registry import Case, check
from npdiff.random import Key


@check("norm-silu-conv", method="the textbook forms in turn, complex step", tolerance=1e-12)
def norm_silu_conv_by_textbook_ops(case: Case) -> float:
    """Each optional argument is absent in one of the cases."""
    modulated, shifted, added, drops = case.choose(
        [(1, 1, 1, 0), (0, 1, 0, 1), (1, 0, 0, 1), (0, 0, 1, 0)]
    )
    rng, C, F = case.rng, 4, 3
    x = rng.standard_normal((2, 2, 3, C))
    gamma, beta, w = 1.0 + rng.standard_normal(C), rng.standard_normal(C), rng.standard_normal(F)
    optional = [rng.standard_normal((2, C)), rng.standard_normal((2, C))] if modulated else []
    optional += [rng.standard_normal((2, F))] if shifted else []
    optional += [rng.standard_normal((2, 2, 3, F))] if added else []
    given = gamma, beta, rng.standard_normal((3, 3, C, F)), w, *optional
    key = Key(case.index, (1, 2), 0, "block") if drops else None
    kept = to_host(ops.dropout(case.array(np.ones(x.shape)), rate=0.4, key=key)[0])

    def in_place(rest: Any) -> list[Any]:
        """The optional arguments, with None for the absent ones."""
        queue = list(rest)
        present = (modulated, modulated, shifted, added)
        return [queue.pop(0) if there else None for there in present]

    def op(x: Any, gamma: Any, beta: Any, w: Any, b: Any, *rest: Any) -> Any:
        every = x, gamma, beta, w, b, *in_place(rest)
        y, pullback = ops.norm_silu_conv(*every, groups=2, rate=0.4, key=key)
        expected_present = [argument is not None for argument in every]

        def present(dy: Any) -> Any:
            found = pullback(dy)
            if [cotangent is not None for cotangent in found] != expected_present:
                raise ValueError("expected one cotangent for each argument that is not None")
            return tuple(cotangent for cotangent in found if cotangent is not None)

        return y, present

    def f(x: Any, gamma: Any, beta: Any, w: Any, b: Any, *rest: Any) -> Any:
        scale, offset, shift, residual = in_place(rest)
        h = textbook.group_norm(x, gamma, beta, 2, 1e-5)
        if scale is not None:
            h = (1.0 + scale)[:, None, None] * h + offset[:, None, None]
        y = textbook.conv(kept * textbook.silu(h), w, b)
        y = y if shift is None else y + shift[:, None, None]
        return y if residual is None else y + residual

    return max(compare(case, op, f, x, *given))
