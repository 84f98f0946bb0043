"""Checks of the increasing network behind a learned schedule."""

from typing import Any

import numpy as np

from npdiff.laboratory.complex_step import compare, cotangents
from npdiff.laboratory.registry import Case, check, relative
from npdiff.nn import MonotoneNetwork

Arrays = tuple[np.ndarray, ...]


def gamma(low: Any, gap: Any, weight: Any, slope: Any, bias: Any, t: Any) -> Any:
    """gamma(u) in a loop over the sigmoids."""

    def g(u: Any) -> Any:
        steps = zip(weight, slope, bias, strict=True)
        return u + sum(
            np.log1p(np.exp(w)) / (1.0 + np.exp(-np.log1p(np.exp(v)) * u - b)) for w, v, b in steps
        )

    risen = np.array([g(u) - g(0.0) for u in t])
    return low + np.log1p(np.exp(gap)) * risen / (g(1.0) - g(0.0))


def gamma_dot(low: Any, gap: Any, weight: Any, slope: Any, bias: Any, t: Any) -> Any:
    """The derivative in an analytic form, with e^z / (1 + e^z)^2 for the sigmoid's."""
    w, v = np.log1p(np.exp(weight)), np.log1p(np.exp(slope))
    z = np.multiply.outer(t, v) + bias
    rise = 1.0 + (w / (1.0 + np.exp(-v - bias)) - w / (1.0 + np.exp(-bias))).sum()
    return np.log1p(np.exp(gap)) / rise * (1.0 + (np.exp(z) / (1.0 + np.exp(z)) ** 2 @ (w * v)))


def parameters(case: Case) -> Arrays:
    """The perturbed parameters of a network of four sigmoids, and times."""
    start = MonotoneNetwork.init(case.index, width=4, low=-6.0, high=3.0)
    leaves = (start.low, start.gap, start.weight, start.slope, start.bias)
    moved = (a + 0.5 * case.rng.standard_normal(a.shape) for a in leaves)
    return *moved, case.rng.uniform(0.0, 1.0, 6)


def network(*arrays: Any) -> Any:
    """The network as a function of its parameters and times."""
    y, pullback = MonotoneNetwork(*arrays[:5])(arrays[5])

    def flat(*dy: Any) -> Arrays:
        module, dt = pullback(*dy)
        return module.low, module.gap, module.weight, module.slope, module.bias, dt

    return y, flat


@check("monotone-network", "monotone-pullback", method="a loop, complex step", tolerance=1e-11)
def monotone_network_by_a_loop(case: Case) -> dict[str, float]:
    """gamma by a loop over its sigmoids; all cotangents, of both outputs at once."""

    def both(*arrays: Any) -> Any:
        return gamma(*arrays), gamma_dot(*arrays)

    value, slope = compare(case, network, both, *parameters(case))
    return {"monotone-network": value, "monotone-pullback": slope}


@check("monotone-derivative", method="the complex step through gamma", tolerance=1e-12)
def monotone_derivative_by_the_complex_step(case: Case) -> float:
    """gamma' of the network against the derivative of the loop with respect to time."""
    arrays = parameters(case)
    (_, found), _ = network(*map(case.array, arrays))
    *fixed, timesteps = arrays

    def of_time(t: Any) -> Any:
        low, gap, weight, slope, bias = fixed
        return gamma(low, gap, weight, slope, bias, t)

    (expected,) = cotangents(of_time, [timesteps], [np.ones(6)])
    return relative(found, expected)


@check("monotone-network", method="softplus inverted, end by end", tolerance=1e-5)
def monotone_network_at_its_start(case: Case) -> float:
    """The requested ends, weights that sum to one half, sigmoids centered within [0, 1]."""
    low, high = case.choose([(-13.3, 5.0), (-6.0, 3.5)])
    start = MonotoneNetwork.init(case.index, width=40, low=low, high=high)
    if low == -13.3:
        start = MonotoneNetwork.init(case.index, width=40)
    ends, _ = start.curve(np.array([0.0, 1.0]))
    weight, slope = (np.log1p(np.exp(np.float64(r))) for r in (start.weight, start.slope))
    center = -start.bias / slope
    inside = np.abs(center - 0.5).max() < 0.5001 and np.abs(slope - 6.0).max() < 4.001
    wide = center.min() < 0.4 and center.max() > 0.6 and slope.min() < 5.0 and slope.max() > 7.0
    right = relative(np.append(ends, weight.sum()), np.array([low, high, 0.5]))
    return right if inside and wide else 1.0
