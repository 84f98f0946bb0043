"""The checks: what proves an equation, by which independent route, and how far it was off.

A check is a function of a :class:`Case`. It computes the same thing twice, by the package and by a
route that does not call the package's algebra, and returns how far the two are apart. It names the
labels it proves; the equations themselves are read off the docstrings
(:mod:`npdiff.laboratory.equations`), and a test holds that no label and no check stands alone.
"""

import importlib
import math
import pkgutil
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, TypeVar

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.laboratory.equations import equations

Residual = float | Mapping[str, float]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Case:
    """One trial of a check: all that it may draw is a function of seed, check and index.

    Attributes
    ----------
    check : the name of the check
    index : 0, 1, 2, ...
    seed : of the whole run
    xp : the array module on which the package computes
    """

    check: str
    index: int = 0
    seed: int = 0
    xp: Any = np

    @cached_property
    def rng(self) -> np.random.Generator:
        """Random numbers on the host."""
        return np.random.default_rng([self.seed, zlib.crc32(self.check.encode()), self.index])

    def choose(self, options: Sequence[Item]) -> Item:
        """One of the options; as the cases go on, each in its turn."""
        return options[self.index % len(options)]

    def array(self, values: Any) -> Array:
        """Host values where the package computes, in float64 (integers stay integers)."""
        values = np.asarray(values)
        kind = values.dtype if values.dtype.kind in "iub" else np.float64
        return self.xp.asarray(values, dtype=kind)

    def normal(self, shape: tuple[int, ...]) -> Array:
        """Standard normal numbers where the package computes."""
        return self.array(self.rng.standard_normal(shape))


@dataclass(frozen=True)
class Check:
    """A proof of one equation or several.

    Attributes
    ----------
    name : of the function
    labels : of the equations that it proves
    route : the independent route, in a few words
    tolerance : of the residual
    cases : how many are tried
    run : the function itself
    """

    name: str
    labels: tuple[str, ...]
    route: str
    tolerance: float
    cases: int
    run: Callable[[Case], Residual]

    @property
    def about(self) -> str:
        """What is compared with what: the first line of its docstring."""
        return (self.run.__doc__ or "").strip().split("\n")[0]

    @property
    def home(self) -> str:
        """Where it stands: ``verify/checks/process.py:posterior_by_bayes``."""
        module = self.run.__module__.removeprefix("npdiff.").replace(".", "/")
        return f"{module}.py:{self.name}"


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes
    ----------
    check : Check
    residuals : for each label, its residual in every case
    seconds : how long it took
    error : the traceback, where the check broke down
    """

    check: Check
    residuals: Mapping[str, tuple[float, ...]]
    seconds: float
    error: str = ""

    def worst(self, label: str) -> float:
        """The largest residual of a label; infinite where one is no number."""
        found = self.residuals.get(label, ())
        return max((r if r == r else math.inf for r in found), default=math.inf)

    def passed(self, label: str | None = None) -> bool:
        """Whether one label's residuals, or those of all, keep within the tolerance."""
        labels = self.check.labels if label is None else (label,)
        return not self.error and all(self.worst(k) <= self.check.tolerance for k in labels)


@dataclass
class _Checks:
    by_name: dict[str, Check] = field(default_factory=dict)


_REGISTERED = _Checks()


def check(
    *labels: str, route: str, tolerance: float, cases: int = 4
) -> Callable[[Callable[[Case], Residual]], Callable[[Case], Residual]]:
    """Register a check.

    Parameters
    ----------
    labels : of the equations that it proves
    route : the independent route, in a few words
    tolerance : which no residual may exceed
    cases : how many are tried unless somebody asks for more

    Raises
    ------
    ValueError
        If it names no label, or another check has its name.
    """

    def register(run: Callable[[Case], Residual]) -> Callable[[Case], Residual]:
        name = getattr(run, "__name__", "")
        if not labels or name in _REGISTERED.by_name:
            raise ValueError(f"check {name!r}: " + ("its name is taken" if labels else "no label"))
        _REGISTERED.by_name[name] = Check(name, labels, route, tolerance, cases, run)
        return run

    return register


@cache
def checks() -> dict[str, Check]:
    """All checks of :mod:`npdiff.laboratory.checks`, by name."""
    package = importlib.import_module("npdiff.laboratory.checks")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name != "npdiff.kernels":  # that folder may be missing, and its equations
                raise
    return _REGISTERED.by_name


def checks_of(label: str) -> tuple[Check, ...]:
    """The checks that prove an equation."""
    return tuple(check for check in checks().values() if label in check.labels)


def unproved() -> list[str]:
    """The labels that no check proves."""
    proved = {label for check in checks().values() for label in check.labels}
    return [label for label in equations() if label not in proved]


def unstated() -> list[str]:
    """The labels that a check names and no docstring states."""
    named = {label for check in checks().values() for label in check.labels}
    return sorted(named - set(equations()))


def prove(check: Check, *, cases: int | None = None, seed: int = 0, xp: Any = np) -> Outcome:
    """Run a check on all its cases.

    Parameters
    ----------
    check : Check
    cases : how many, if not its own number
    seed : of all that the cases draw
    xp : the array module on which the package computes

    Returns
    -------
    Outcome
        What the check raised, a warning included, is in it: a check that breaks down has failed.
    """
    start = time.perf_counter()
    residuals: dict[str, list[float]] = {label: [] for label in check.labels}
    error = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for index in range(check.cases if cases is None else cases):
                found = check.run(Case(check.name, index, seed, xp))
                for label in check.labels:
                    one = found[label] if isinstance(found, Mapping) else found
                    residuals[label].append(float(one))
    except Exception:  # whatever it is, it is a finding
        error = traceback.format_exc()
    seconds = time.perf_counter() - start
    return Outcome(check, {k: tuple(r) for k, r in residuals.items()}, seconds, error)


def relative(found: Any, expected: Any) -> float:
    """The largest deviation, relative to the largest expected magnitude (absolute if that is 0).

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    found, expected = to_host(found), to_host(expected)
    if np.shape(found) != np.shape(expected):
        raise ValueError(f"found shape {np.shape(found)}, expected {np.shape(expected)}")
    scale = float(np.max(np.abs(expected), initial=0.0))
    return float(np.max(np.abs(found - expected), initial=0.0)) / (scale or 1.0)
