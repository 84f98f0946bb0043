"""Checks of the quadrature error."""

import math

import numpy as np

from npdiff.laboratory.checks.samplers._exponential import lambdas
from npdiff.laboratory.quadrature import quadrature_error
from npdiff.laboratory.registry import Case, check, relative


@check("quadrature-error", method="antiderivatives by hand", tolerance=1e-12, cases=4)
def quadrature_error_by_hand(case: Case) -> float:
    """The error of DDIM's step for a linear estimate against its integral in closed form."""
    c, d = case.rng.standard_normal(), case.rng.uniform(0.5, 2.0)
    *_, a, b = (float(place) for place in lambdas(case, case.choose((1, 3))))

    def line(u: np.ndarray) -> np.ndarray:
        return c + d * u

    timesteps = [a - 0.7, a, b] if case.index % 2 else [a, b]
    h = b - a
    expected = {"x0": -d * (math.exp(-h) - 1.0 + h), "eps": -d * (math.exp(h) - 1.0 - h)}
    found = [quadrature_error("ddim", timesteps, line, prediction) for prediction in expected]
    return relative(np.array(found), np.array(list(expected.values())))
