"""Gaussian data: every edit is an affine map, and its distribution is known."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.registry import Case

M = np.array([0.7, -0.4, 0.3])


ROOT = np.array([[0.8, 0.0, 0.0], [0.5, 0.4, 0.0], [-0.3, 0.35, 0.5]])


C = ROOT @ ROOT.T


DATA = Gaussian(M, C)


#: From a state and a noise source to the last state of the edit.
Edit = Callable[[Array, Callable[[int], Array]], Array]


class Result(NamedTuple):
    """Mean and covariance of the result of an edit, and the indices of the draws it used."""

    mean: np.ndarray
    covariance: np.ndarray
    draws: set[int]


def result_of(edit: Edit, case: Case, start: np.ndarray, scale: float) -> Result:
    """The exact distribution of the result of an affine edit in D dimensions.

    The edit runs once for all columns of its matrix: one row with all random inputs 0, and one row
    per coordinate of the start (with standard deviation ``scale``) and of each draw.
    """
    used: dict[int, int] = {}
    D = start.size

    def count(i: int) -> Array:
        used.setdefault(i, len(used))
        return case.array(np.zeros((1, D)))

    edit(case.array(start[None]), count)
    rows = 1 + D * (1 + len(used))

    def unit(i: int) -> Array:
        z, first = np.zeros((rows, D)), 1 + D * (1 + used[i])
        z[first : first + D] = np.eye(D)
        return case.array(z)

    x = np.tile(start, (rows, 1))
    x[1 : 1 + D] += scale * np.eye(D)
    end = to_host(edit(case.array(x), unit))
    columns = end[1:] - end[0]
    return Result(end[0], columns.T @ columns, set(used))


def last(steps: Iterator[Any]) -> Array:
    return list(steps)[-1].x
