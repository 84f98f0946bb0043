"""Checks of activations, softmax and dropout."""

from typing import Any

import numpy as np

from npdiff import ops
from npdiff.backend import to_host
from npdiff.laboratory.checks import _textbook as textbook
from npdiff.laboratory.complex_step import compare
from npdiff.laboratory.registry import Case, check, relative
from npdiff.random import Key


@check("silu", "silu-pullback", method="the logistic form, complex step", tolerance=1e-14)
def silu_by_the_logistic_function(case: Case) -> dict[str, float]:
    """x / (1 + exp(-x)) and its derivative, for x from -15 to 15."""
    value, slope = compare(case, ops.silu, textbook.silu, case.rng.uniform(-15.0, 15.0, 40))
    return {"silu": value, "silu-pullback": slope}


def _normal_integral(x: np.ndarray) -> np.ndarray:
    """The normal distribution function: 1/2 plus an integral by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(48)
    total = sum(
        w * np.exp(-((0.5 * (1.0 + s) * x) ** 2) / 2.0) for s, w in zip(nodes, weights, strict=True)
    )
    return 0.5 + 0.5 * x * total / np.sqrt(2.0 * np.pi)


@check("gelu", "gelu-pullback", method="quadrature of the normal density", tolerance=1e-13)
def gelu_by_quadrature(case: Case) -> dict[str, float]:
    """x times the integral of the normal density, and its derivative by the complex step."""
    x = case.rng.uniform(-5.0, 5.0, 20)
    value, slope = compare(case, ops.gelu, lambda x: x * _normal_integral(x), x)
    return {"gelu": value, "gelu-pullback": slope}


@check("gelu-tanh", "gelu-tanh-pullback", method="a logistic form, complex step", tolerance=1e-13)
def gelu_tanh_by_the_logistic_function(case: Case) -> dict[str, float]:
    """The tanh as a logistic function of twice its argument, and the derivative."""

    def op(x: np.ndarray) -> object:
        return ops.gelu(x, approximate=True)

    value, slope = compare(case, op, textbook.gelu_tanh, case.rng.uniform(-5.0, 5.0, 20))
    return {"gelu-tanh": value, "gelu-tanh-pullback": slope}


@check("softmax", "softmax-pullback", method="plain exponentials, complex step", tolerance=1e-11)
def softmax_by_exponentials(case: Case) -> dict[str, float]:
    """exp(x_i) / sum of exp(x_j), for values that would overflow without the shift."""
    shift = case.choose([0.0, 900.0, -900.0, 300.0])

    def op(x: np.ndarray) -> object:
        return ops.softmax(x + shift)

    def f(x: np.ndarray) -> np.ndarray:
        y = np.zeros(x.shape, dtype=complex)
        for at in np.ndindex(*x.shape[:-1]):
            y[at] = np.exp(x[at]) / sum(np.exp(a) for a in x[at])
        return y

    shape = case.choose([(3, 5), (2, 3, 4), (4,), (2, 3, 2)])
    value, slope = compare(case, op, f, 2.0 * case.rng.standard_normal(shape) + 1.0)
    return {"softmax": value, "softmax-pullback": slope}


@check("softmax", "softmax-pullback", method="the limit of the largest", tolerance=1e-12)
def softmax_of_distant_logits(case: Case) -> float:
    """The largest of logits a thousand apart has probability 1, and a gradient of 0."""
    x = np.tile(case.rng.permutation([-1000.0, 0.0, 1000.0]), (2, 1))
    p, pullback = ops.softmax(case.array(x))
    return max(relative(p, x == 1000.0), relative(pullback(case.normal((2, 3)))[0], 0.0 * x))


@check("dropout", method="element by element", tolerance=1e-15)
def dropout_by_elements(case: Case) -> float:
    """Keep elements whose uniform sample is at least r, times 1 / (1 - r); likewise dy."""
    rate = case.choose([0.5, 0.1, 0.8, 0.0])
    x, dy = case.normal((3, 4, 5)), case.normal((3, 4, 5))
    key = Key(case.index, (2, 9, 4), 3, "dropout")
    y, pullback = ops.dropout(x, rate=rate, key=key)
    uniform = key.uniform((4, 5)) if rate else np.ones((3, 4, 5))

    def kept(a: np.ndarray) -> np.ndarray:
        host, out = to_host(a), np.zeros((3, 4, 5))
        for at in np.ndindex(out.shape):
            out[at] = host[at] / (1.0 - rate) if uniform[at] >= rate else 0.0
        return out

    same, same_pullback = ops.dropout(x, rate=rate, key=None)  # without a key: the identity
    off = [relative(y, kept(x)), relative(pullback(dy)[0], kept(dy))]
    return max(*off, relative(same, x), relative(same_pullback(dy)[0], dy))


class GivenKey:
    """A key with given uniform samples."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.samples = values, range(len(values))

    def uniform(self, shape: tuple[int, ...], xp: Any) -> Any:
        """The given samples."""
        return xp.asarray(self.values)


@check("dropout", method="given uniform samples", tolerance=1e-15, cases=1)
def dropout_at_the_edge(case: Case) -> float:
    """An element whose sample is exactly r is kept: the dropped fraction is exactly r."""
    key: Any = GivenKey(np.array([[0.25, 0.75, 0.2499, 0.0, 0.2501]]))
    y, _ = ops.dropout(case.array(np.ones((1, 5))), rate=0.25, key=key)
    return relative(y, np.array([[4.0, 4.0, 0.0, 0.0, 4.0]]) / 3.0)


@check("dropout", method="the mean over many draws", tolerance=0.0285, cases=3)
def dropout_keeps_the_mean(case: Case) -> float:
    """The kept fraction, in standard deviations of one draw (allowed: 7 of the mean's)."""
    rate = case.choose([0.3, 0.5, 0.9])
    y, _ = ops.dropout(case.array(np.ones((20, 3000))), rate=rate, key=Key(1, range(20)))
    kept, n = float((y > 0.0).sum()), 60_000
    return abs(kept / n - (1.0 - rate)) / (rate * (1.0 - rate)) ** 0.5
