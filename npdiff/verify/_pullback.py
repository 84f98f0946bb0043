"""The proof of a hand-written gradient: central differences in float64, parameter by parameter."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.backend import to_host
from npdiff.verify.report import Report

#: Steps and weights of the fourth-order central difference.
_STENCIL = ((1, 8 / 12), (-1, -8 / 12), (2, -1 / 12), (-2, 1 / 12))


@dataclass(frozen=True)
class Row:
    """What was found for one array that has a gradient."""

    name: str
    shape: tuple[int, ...]
    norm: float
    error: float


@dataclass(frozen=True)
class PullbackReport(Report):
    """The verdict on one pullback; prints as a table, ``check()`` raises."""

    name: str
    tolerance: float
    rows: tuple[Row, ...]
    faults: tuple[str, ...]

    @property
    def worst(self) -> float:
        """The largest relative error."""
        return max((row.error for row in self.rows), default=0.0)

    @property
    def passed(self) -> bool:
        """Whether every gradient is there, the right one, and the pullback is pure."""
        return not self.faults and self.worst <= self.tolerance

    def __str__(self) -> str:
        lines = [f"{'relative error':>14}  {'norm':>9}  array"]
        for row in sorted(self.rows, key=lambda row: -row.error):
            lines.append(f"{row.error:14.2e}  {row.norm:9.2e}  {row.name} {row.shape}")
        lines += [f"FAULT: {fault}" for fault in self.faults]
        verdict = "passed" if self.passed else "FAILED"
        lines.append(f"{self.name}: {verdict}, worst {self.worst:.2e} of {self.tolerance:.0e}")
        return "\n".join(lines)


def _arrays(args: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """The float arrays of an argument, which are what can have a gradient."""
    for name, leaf in tree.named_leaves(args, prefix):
        if np.issubdtype(leaf.dtype, np.floating):
            yield name, leaf


def _write(leaf: Any, value: Any) -> None:
    """Move one of our own read-only arrays where it stands, in whatever tree that is."""
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
    r"""Whether the pullback of ``f`` at ``args`` is the transpose of its derivative.

    .. math::
        :label: pullback-check

        \langle \bar x, u \rangle = \frac{\mathrm{d}}{\mathrm{d} h}
            \langle \bar y, f(x + h u) \rangle \Big|_{h = 0}

    for every array x among the arguments by itself, with random normal directions u and cotangents
    :math:`\bar y`. The right side is a fourth-order central difference in float64; the error is
    relative to :math:`\lVert\bar x\rVert`, the standard deviation of the left side over u, so that
    any wrong number in any array shows. Also checked: the arguments are read-only, the pullback
    called twice says the same, and every array gets a gradient of its own shape and dtype that is
    not all zero.

    Parameters
    ----------
    f : ``f(*args, **kwargs) -> (y, pullback)``; a module counts as its own first argument. ``y``
        may be a tuple, whose pullback takes as many cotangents
    args : arrays, modules, or tuples of them, taken to float64; integers are left alone
    tolerance : of the relative error
    directions : random directions for each array
    step : of the differences, in standard deviations of u divided by its norm
    seed : of directions and cotangents
    may_vanish : names of arrays whose gradient is known to be zero (to rounding)
    kwargs : options, passed on

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
    name = getattr(f, "__name__", type(f).__name__)
    if isinstance(f, tree.Module):
        args = (f, *args)

    def call(*args: Any) -> Any:
        return args[0](*args[1:], **kwargs) if isinstance(f, tree.Module) else f(*args, **kwargs)

    args = tree.map(_read_only, args)
    y, vjp = call(*args)
    several = isinstance(y, tuple)
    cotangent = tree.map(lambda leaf: _read_only(rng.standard_normal(leaf.shape)), y)
    dy = cotangent if several else (cotangent,)
    gradient = tree.map(lambda leaf: leaf.copy(), vjp(*dy))  # the next call might write to it
    again = vjp(*dy)
    faults, rows = [], []
    # Arguments left at their default of None have a cotangent of None.
    if not isinstance(gradient, tuple) or tree.leaves(gradient[len(args) :]):
        faults.append(f"the pullback does not return a tuple of {len(args)} cotangents")
        return PullbackReport(name, tolerance, (), tuple(faults))
    twice = zip(tree.leaves(gradient), tree.leaves(again), strict=True)
    if not all(np.array_equal(to_host(a), to_host(b)) for a, b in twice):
        faults.append("the pullback called twice does not return the same")
    found = dict(_arrays(gradient, ""))

    for leaf_name, leaf in _arrays(args, ""):
        d = found.get(leaf_name)
        if d is None or d.shape != leaf.shape or d.dtype != leaf.dtype:
            what = "none" if d is None else f"{d.dtype} {d.shape}"
            faults.append(f"{leaf_name} {leaf.shape} gets gradient {what}")
            continue
        norm = float(np.linalg.norm(d))
        vanishes = leaf_name in may_vanish
        if norm == 0.0 and not vanishes:
            faults.append(f"{leaf_name} {leaf.shape} gets a gradient of zeros")
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
        rows.append(Row(leaf_name, leaf.shape, norm, error))
    return PullbackReport(name, tolerance, tuple(rows), tuple(faults))
