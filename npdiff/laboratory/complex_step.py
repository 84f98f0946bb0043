"""Derivatives by the complex step: exact to rounding, and independent of any pullback.

For an analytic f that is real on the real line, Im f(x + i h) / h is f'(x) up to h^2, and nothing
is subtracted: with h = 1e-30 every digit is right. The differentiated functions are textbook forms
that accept complex arrays, not those of the package.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.backend import Array, to_host
from npdiff.laboratory.registry import Case, relative

_STEP = 1e-30

Textbook = Callable[..., Any]


def _inner_product_derivative(y: Any, dy: Sequence[np.ndarray]) -> float:
    """The derivative of the inner product of y with its cotangents."""
    ys = y if isinstance(y, tuple) else (y,)
    return float(sum(np.sum(a.imag * d) for a, d in zip(ys, dy, strict=True)) / _STEP)


def cotangents(f: Textbook, args: Sequence[np.ndarray], dy: Sequence[np.ndarray]) -> list[Array]:
    """The cotangent of each argument of f, element by element."""
    found = []
    for i, arg in enumerate(args):
        gradient = np.empty(arg.shape)
        for at in np.ndindex(*arg.shape):
            moved = arg.astype(complex)
            moved[at] += 1j * _STEP
            gradient[at] = _inner_product_derivative(f(*args[:i], moved, *args[i + 1 :]), dy)
        found.append(gradient)
    return found


def compare(case: Case, op: Callable[..., Any], f: Textbook, *args: Any) -> tuple[float, float]:
    """The deviations of an op from its textbook form: of its value and of its pullback.

    Parameters
    ----------
    case : source of the cotangent
    op : ``op(*args) -> (y, pullback)``
    f : the textbook form, from real or complex host arrays to a host array or a tuple of them
    args : host arrays
    """
    y, pullback = op(*map(case.array, args))
    ys, expected = (y if isinstance(y, tuple) else (y,)), f(*args)
    dy = [case.rng.standard_normal(np.shape(to_host(a))) for a in ys]
    values = expected if isinstance(expected, tuple) else (expected,)
    worst = [relative(a, b) for a, b in zip(ys, values, strict=True)]
    right = cotangents(f, args, dy)
    found = pullback(*map(case.array, dy))
    off = [relative(a, b) for a, b in zip(found[: len(right)], right, strict=True)]
    return max(worst), max(off)


def compare_trees(
    case: Case, layer: Any, f: Textbook, *args: Any, options: dict[str, Any] | None = None
) -> tuple[float, float]:
    """The deviations of a layer from its textbook form: of its value and of its gradient.

    Every parameter and argument is perturbed in a random direction, by the complex step.

    Parameters
    ----------
    case : source of the cotangent and the directions
    layer : a module with float64 parameters on the host
    f : ``f(layer, *args)`` on host arrays, one of which is complex
    args : host arrays
    options : keyword arguments of the layer
    """
    module = tree.map(case.array, layer)
    y, pullback = module(*map(case.array, args), **(options or {}))
    dy = case.rng.standard_normal(y.shape)
    gradient = pullback(case.array(dy))
    inputs = (layer, *args)
    found = [to_host(leaf) for leaf in tree.leaves(gradient[: len(inputs)])]
    leaves, off = tree.leaves(inputs), []
    for i, d in enumerate(found):
        u = case.rng.standard_normal(d.shape)
        ahead = iter([*leaves[:i], leaves[i] + 1j * _STEP * u, *leaves[i + 1 :]])
        slope = _inner_product_derivative(
            f(*tree.map(lambda _, ahead=ahead: next(ahead), inputs)), [dy]
        )
        off.append(abs(float(np.vdot(d, u)) - slope) / float(np.linalg.norm(d)))
    return relative(y, f(*inputs)), max(off, key=lambda a: a if a == a else np.inf)
