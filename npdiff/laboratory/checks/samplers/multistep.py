"""Checks of the differences and of the midpoint rule in multistep solvers."""

import math

import numpy as np

from npdiff.backend import to_host
from npdiff.laboratory.checks.samplers._exponential import lambdas
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers.exponential import DATA_PREDICTION, NOISE_PREDICTION
from npdiff.samplers.multistep import History, derivatives, raise_order


@check(
    "divided-differences", method="a polynomial polynomial to the points", tolerance=1e-11, cases=8
)
def differences_by_a_fit(case: Case) -> float:
    """The derivatives at the last of two or three points against those of numpy.polyfit."""
    count = case.choose((2, 3))
    nodes, values = lambdas(case, count - 1)[::-1], case.rng.standard_normal((count, 4))
    h = float(case.rng.uniform(0.2, 1.5))
    history: History = [
        (float(u), case.array(m)) for u, m in zip(nodes, values, strict=True)
    ]  # fmt: skip
    polynomial = np.polyfit(nodes - nodes[0], values, count - 1)[::-1]
    expected = [math.factorial(n) * h**n * polynomial[n] for n in range(1, count)]
    found = derivatives(history, h)
    errors = [relative(a, b) for a, b in zip(found, expected, strict=True)]
    if count == 3:  # legacy=True: half the second derivative
        _, second = derivatives(history, h, legacy=True)
        errors.append(relative(second, 0.5 * expected[1]))
    return max(errors)


@check(
    "midpoint-rule",
    method="the estimate in the middle, constant over the step",
    tolerance=1e-12,
    cases=4,
)
def midpoint_rule_by_a_constant(case: Case) -> float:
    """The midpoint rule against a first-order step with the line's value in its middle."""
    prediction, h = (
        case.choose((NOISE_PREDICTION, DATA_PREDICTION)),
        float(case.rng.uniform(0.1, 1.5)),
    )
    (b, a), (n, m) = lambdas(case, 1), case.rng.standard_normal((2, 4))
    history: History = [(float(a), case.array(m)), (float(b), case.array(n))]
    x, scale = case.normal((4,)), float(case.rng.uniform(0.5, 2.0))
    found = raise_order(x, scale, prediction.sign * h, h, history, midpoint=True)
    middle = m + 0.5 * h * (m - n) / (a - b)
    correction = -scale * (math.exp(prediction.sign * h) - 1.0) * (middle - m)
    return relative(to_host(found) - to_host(x), correction)
