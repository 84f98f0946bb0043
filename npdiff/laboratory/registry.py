"""The registry of checks: which equation each verifies, by which independent method, how closely.

A check is a function of a :class:`Case`. It computes the same quantity twice, with the package and
with a method that does not use the package's algebra, and returns the deviation. It names the
labels of the equations it verifies; the equations are read from the docstrings
(:mod:`npdiff.laboratory.equations`). Tests require a check for every label and a label for every
check.
"""

import importlib
import math
import pkgutil
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, TypeVar

import numpy as np

from npdiff.acceleration import definitions_only
from npdiff.backend import Array, to_host
from npdiff.laboratory.equations import equations

Residual = float | Mapping[str, float]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Case:
    """One case of a check; its random numbers are a function of seed, check name and index.

    Attributes
    ----------
    check : name of the check
    index : 0, 1, 2, ...
    seed : seed of the whole run
    xp : array module in which the package computes
    """

    check: str
    index: int = 0
    seed: int = 0
    xp: Any = np

    @cached_property
    def rng(self) -> np.random.Generator:
        """A NumPy generator on the host."""
        return np.random.default_rng([self.seed, zlib.crc32(self.check.encode()), self.index])

    def choose(self, options: Sequence[Item]) -> Item:
        """The option for this case: successive cases cycle through the options."""
        return options[self.index % len(options)]

    def array(self, values: Any) -> Array:
        """Host values as an array of ``xp``, in float64 (integers and booleans keep their type)."""
        values = np.asarray(values)
        kind = values.dtype if values.dtype.kind in "iub" else np.float64
        return self.xp.asarray(values, dtype=kind)

    def normal(self, shape: tuple[int, ...]) -> Array:
        """Standard normal samples as an array of ``xp``."""
        return self.array(self.rng.standard_normal(shape))


@dataclass(frozen=True)
class Check:
    """A check of one or more equations.

    Attributes
    ----------
    name : name of the function
    labels : labels of the equations it verifies
    method : the independent method, in a few words
    tolerance : largest allowed residual
    cases : number of cases
    run : the function itself
    """

    name: str
    labels: tuple[str, ...]
    method: str
    tolerance: float
    cases: int
    run: Callable[[Case], Residual]

    @property
    def about(self) -> str:
        """What is compared with what: the first line of the function's docstring."""
        return (self.run.__doc__ or "").strip().split("\n")[0]

    @property
    def location(self) -> str:
        """File and function: ``laboratory/checks/process.py:posterior_by_bayes``."""
        module = self.run.__module__.removeprefix("npdiff.").replace(".", "/")
        return f"{module}.py:{self.name}"

    def residuals(self, case: Case) -> dict[str, float]:
        """The residual of each label in one case.

        An op with a kernel is run twice, with kernels and by its definition; the larger counts.
        """
        found = self._by_label(self.run(case))
        if self.location.startswith(("laboratory/checks/ops/", "laboratory/checks/nn/")):
            with definitions_only():
                defined = self._by_label(self.run(replace(case)))  # a new case: the same draws
            found = {label: max(defined[label], r) if r == r else r for label, r in found.items()}
        return found

    def _by_label(self, found: Residual) -> dict[str, float]:
        return {
            label: float(found[label] if isinstance(found, Mapping) else found)
            for label in self.labels
        }


@dataclass(frozen=True)
class CheckResult:
    """The result of running a check.

    Attributes
    ----------
    check : Check
    residuals : residuals of each label, one per case
    seconds : run time
    error : traceback if the check raised, else empty
    """

    check: Check
    residuals: Mapping[str, tuple[float, ...]]
    seconds: float
    error: str = ""

    def worst(self, label: str) -> float:
        """The largest residual of a label; infinity if there is none or one is NaN."""
        found = self.residuals.get(label, ())
        return max((r if r == r else math.inf for r in found), default=math.inf)

    def passed(self, label: str | None = None) -> bool:
        """Whether the residuals of one label, or of all labels, are within the tolerance."""
        labels = self.check.labels if label is None else (label,)
        return not self.error and all(self.worst(k) <= self.check.tolerance for k in labels)


@dataclass
class _Checks:
    by_name: dict[str, Check] = field(default_factory=dict)


_REGISTERED = _Checks()


def check(
    *labels: str, method: str, tolerance: float, cases: int = 4
) -> Callable[[Callable[[Case], Residual]], Callable[[Case], Residual]]:
    """Register the decorated function as a check.

    Parameters
    ----------
    labels : labels of the equations it verifies
    method : the independent method, in a few words
    tolerance : largest allowed residual
    cases : default number of cases

    Raises
    ------
    ValueError
        If there is no label, or another check has the same name.
    """

    def register(run: Callable[[Case], Residual]) -> Callable[[Case], Residual]:
        name = getattr(run, "__name__", "")
        if not labels:
            raise ValueError(f"check {name!r} has no label: name the equations it verifies")
        if name in _REGISTERED.by_name:
            raise ValueError(f"the check name {name!r} is taken: choose another")
        _REGISTERED.by_name[name] = Check(name, labels, method, tolerance, cases, run)
        return run

    return register


@cache
def checks() -> dict[str, Check]:
    """All checks in :mod:`npdiff.laboratory.checks` and its subpackages, by name."""
    package = importlib.import_module("npdiff.laboratory.checks")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name != "npdiff.kernels":  # the folder may be deleted, with its equations
                raise
    return _REGISTERED.by_name


def checks_of(label: str) -> tuple[Check, ...]:
    """The checks of an equation."""
    return tuple(check for check in checks().values() if label in check.labels)


def labels_without_check() -> list[str]:
    """Labels in docstrings that no check verifies."""
    verified = {label for check in checks().values() for label in check.labels}
    return [label for label in equations() if label not in verified]


def labels_without_equation() -> list[str]:
    """Labels that a check names and no docstring defines."""
    named = {label for check in checks().values() for label in check.labels}
    return sorted(named - set(equations()))


def run_check(
    check: Check, *, cases: int | None = None, seed: int = 0, xp: Any = np
) -> CheckResult:
    """Run a check on all its cases.

    Parameters
    ----------
    check : Check
    cases : number of cases (default: ``check.cases``)
    seed : seed of the cases' random numbers
    xp : array module in which the package computes

    Returns
    -------
    CheckResult
        An exception or a warning is recorded in ``error`` and counts as a failure.
    """
    start = time.perf_counter()
    residuals: dict[str, list[float]] = {label: [] for label in check.labels}
    error = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for index in range(check.cases if cases is None else cases):
                for label, one in check.residuals(Case(check.name, index, seed, xp)).items():
                    residuals[label].append(one)
    except Exception:  # reported in the result, whatever it is
        error = traceback.format_exc()
    seconds = time.perf_counter() - start
    return CheckResult(check, {k: tuple(r) for k, r in residuals.items()}, seconds, error)


def relative(found: Any, expected: Any) -> float:
    """The largest deviation divided by the largest expected magnitude (or by 1 if that is 0).

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
