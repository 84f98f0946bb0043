"""Verification of a pullback by central differences in float64, array by array."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.backend import to_host
from npdiff.verify.report import Finding, Report, name_of

#: Offsets and weights of the fourth-order central difference.
_STENCIL = ((1, 8 / 12), (-1, -8 / 12), (2, -1 / 12), (-2, 1 / 12))


@dataclass(frozen=True)
class ArrayGradient:
    """The gradient of one array: its norm, and its error relative to that norm."""

    name: str
    shape: tuple[int, ...]
    norm: float
    error: float


@dataclass(frozen=True, repr=False)
class PullbackReport(Report):
    """The report on one pullback: a finding per array, the largest error first.

    Attributes
    ----------
    gradients : the measured gradients, in the order of the arguments
    """

    gradients: tuple[ArrayGradient, ...] = ()


def _arrays(args: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """The float arrays of an argument: those that can have a gradient."""
    for name, leaf in tree.named_leaves(args, prefix):
        if np.issubdtype(leaf.dtype, np.floating):
            yield name, leaf


def _write(leaf: Any, value: Any) -> None:
    """Assign to one of our read-only arrays in place, wherever it is in a tree."""
    leaf.flags.writeable = True
    leaf[...] = value
    leaf.flags.writeable = False


def _read_only(leaf: Any) -> Any:
    leaf = np.array(leaf, dtype=np.float64 if np.issubdtype(leaf.dtype, np.floating) else None)
    leaf.flags.writeable = False
    return leaf


def pullback(
    f: Callable[..., Any],
    *args: Any,
    tolerance: float = 1e-6,
    directions: int = 2,
    step: float = 1e-3,
    seed: int = 0,
    may_vanish: tuple[str, ...] = (),
    **kwargs: Any,
) -> PullbackReport:
    r"""Verify that the pullback of ``f`` at ``args`` is the transpose of its derivative.

    .. math::
        :label: pullback-check

        \langle \bar x, u \rangle = \frac{\mathrm{d}}{\mathrm{d} h}
            \langle \bar y, f(x + h u) \rangle \Big|_{h = 0}

    separately for each array x among the arguments, with random normal directions u and cotangents
    :math:`\bar y`. The right side is a fourth-order central difference in float64; the error is
    relative to :math:`\lVert\bar x\rVert`, the standard deviation of the left side over u, so that
    a wrong element of any array is detected. Also checked: the pullback does not write to the
    arguments or the cotangents, which are read-only; a second call returns the same; and each array
    has a gradient of the same shape and dtype that is not all zero.

    Parameters
    ----------
    f : ``f(*args, **kwargs) -> (y, pullback)``; a module is treated as its first argument. ``y``
        may be a tuple, whose pullback takes as many cotangents
    args : arrays, modules, or tuples of them; floats are converted to float64, integers are kept
    tolerance : the largest relative error of a gradient
    directions : random directions for each array
    step : the largest norm of h u
    seed : seed of the directions and cotangents
    may_vanish : names of arrays whose gradient is zero up to rounding; their error is absolute
    kwargs : options of ``f``

    Returns
    -------
    PullbackReport

    Examples
    --------
    >>> import numpy as np
    >>> from npdiff import ops
    >>> pullback(ops.silu, np.linspace(-3, 3, 7)).passed
    True
    """
    rng = np.random.default_rng(seed)
    if isinstance(f, tree.Module):
        args = (f, *args)

    def call(*args: Any) -> Any:
        return args[0](*args[1:], **kwargs) if isinstance(f, tree.Module) else f(*args, **kwargs)

    args = tree.map(_read_only, args)
    y, f_pullback = call(*args)
    several = isinstance(y, tuple)
    cotangent = tree.map(lambda leaf: _read_only(rng.standard_normal(leaf.shape)), y)
    dy = cotangent if several else (cotangent,)
    gradient = tree.map(
        lambda leaf: leaf.copy(), f_pullback(*dy)
    )  # the second call may write to it
    again = f_pullback(*dy)
    # Arguments left at their default of None have a cotangent of None.
    if not isinstance(gradient, tuple) or tree.leaves(gradient[len(args) :]):
        returned = f"a tuple of {len(gradient)}" if isinstance(gradient, tuple) else "no tuple"
        name = f"the pullback returns a tuple of {len(args)} cotangents"
        failed = Finding(name, math.inf, 0.0, f"it returns {returned}")
        return PullbackReport(name_of(f), (failed,))
    twice = zip(tree.leaves(gradient), tree.leaves(again), strict=True)
    changed = sum(not np.array_equal(to_host(a), to_host(b)) for a, b in twice)
    found = [Finding("a second call of the pullback returns the same", float(changed), 0.0)]
    errors, gradients = [], []
    given = dict(_arrays(gradient, ""))

    for name, leaf in _arrays(args, ""):
        d = given.get(name)
        title = f"the gradient of {name} {leaf.shape}"
        if d is None or d.shape != leaf.shape or d.dtype != leaf.dtype:
            what = "it is missing" if d is None else f"it is {d.dtype} {d.shape}"
            found.append(Finding(title, math.inf, tolerance, what))
            continue
        norm = float(np.linalg.norm(d))
        vanishes = name in may_vanish
        if norm == 0.0 and not vanishes:
            hint = f"it is all zero; if that is right, may_vanish=({name!r},)"
            found.append(Finding(title, math.inf, tolerance, hint))
            continue
        error, here = 0.0, leaf.copy()
        for _ in range(directions):
            u = rng.standard_normal(leaf.shape)
            h = step / max(1.0, float(np.linalg.norm(u)))
            values = []
            for k, c in _STENCIL:
                _write(leaf, here + k * h * u)
                values.append(c * float(tree.dot(cotangent, call(*args)[0])))
            _write(leaf, here)
            slope = math.fsum(values) / h
            deviation = abs(slope - float(np.vdot(d, u))) / (1.0 if vanishes else norm)
            error = max(error, deviation if math.isfinite(deviation) else math.inf)
        errors.append(Finding(title, error, tolerance))
        gradients.append(ArrayGradient(name, leaf.shape, norm, error))
    found += sorted(errors, key=lambda finding: -finding.residual)
    return PullbackReport(name_of(f), tuple(found), gradients=tuple(gradients))
