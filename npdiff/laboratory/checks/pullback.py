"""Checks of pullbacks as transposed Jacobians."""

from typing import Any

import numpy as np

from npdiff import ops
from npdiff.backend import to_host
from npdiff.laboratory.registry import Case, check, relative
from npdiff.pullback import gradient_checkpoint


@check("pullback", method="the whole Jacobian, column by column", tolerance=1e-9, cases=2)
def pullbacks_are_transposes(case: Case) -> float:
    """The rows of a small network's Jacobian, by pullbacks, and its columns, by differences."""
    w, b = case.normal((3, 4)), case.normal((4,))
    gamma, beta = case.normal((4,)), case.normal((4,))

    def network(x: Any) -> tuple[Any, Any]:
        h, linear_pullback = ops.linear(x, w, b)
        h, norm_pullback = ops.group_norm(h, gamma, beta, groups=2)
        y, silu_pullback = ops.silu(h)
        return y, lambda dy: linear_pullback(norm_pullback(silu_pullback(dy)[0])[0])[:1]

    f = network if case.index % 2 == 0 else gradient_checkpoint(network)
    x = case.normal((1, 8, 3))  # groups large enough that none is nearly constant
    y, f_pullback = f(x)
    units = np.eye(y.size).reshape(-1, *y.shape)
    rows = [to_host(f_pullback(case.array(unit))[0]).ravel() for unit in units]
    columns = []
    for unit in 1e-3 * np.eye(x.size).reshape(-1, *x.shape):
        step = case.array(unit)
        near, far = (to_host(f(x + k * step)[0] - f(x - k * step)[0]).ravel() for k in (1, 2))
        columns.append((8.0 * near - far) / 12.0 / 1e-3)
    return relative(np.array(rows), np.array(columns).T)
