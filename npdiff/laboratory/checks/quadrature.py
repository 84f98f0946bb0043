"""Checks that a step with a full history is exact for polynomials, and of what measures that."""

import math
from typing import Any

import numpy as np

from npdiff.laboratory.checks.exponential import places
from npdiff.laboratory.quadrature import quadrature_error
from npdiff.laboratory.registry import Case, check, relative


@check("quadrature-error", route="antiderivatives by hand", tolerance=1e-12, cases=4)
def quadrature_error_by_hand(case: Case) -> float:
    """What DDIM's step lacks for a linear estimate against its integral in closed form."""
    c, d = case.rng.standard_normal(), case.rng.uniform(0.5, 2.0)
    *_, a, b = (float(place) for place in places(case, case.choose((1, 3))))

    def line(u: np.ndarray) -> np.ndarray:
        return c + d * u

    timesteps = [a - 0.7, a, b] if case.index % 2 else [a, b]
    h = b - a
    lacks = {"x0": -d * (math.exp(-h) - 1.0 + h), "eps": -d * (math.exp(h) - 1.0 - h)}
    found = [quadrature_error("ddim", timesteps, line, prediction) for prediction in lacks]
    return relative(np.array(found), np.array(list(lacks.values())))


#: Solvers that are exact for polynomials in half log-SNR of a degree below their order, by the
#: label of their step.
EXACT: tuple[tuple[str, str, str, int, dict[str, Any]], ...] = (
    ("dpm-solver-multistep", "dpm-solver-multistep", "eps", 2, {"midpoint": False}),
    ("dpm-solver-multistep", "dpm-solver-multistep", "eps", 3, {}),
    ("dpmpp-2m", "dpmpp-multistep", "x0", 2, {"midpoint": False}),
    ("dpmpp-3m", "dpmpp-multistep", "x0", 3, {}),
    ("exponential-sde", "dpmpp-sde", "x0", 3, {"eta": 0.0}),
    ("unip", "unipc", "x0", 3, {"corrector": False}),
    ("unip", "unipc", "eps", 3, {"corrector": False, "prediction": "eps"}),
    ("deis-step", "deis", "eps", 3, {"variable": "log-rho"}),
)


@check(
    *dict.fromkeys(label for label, *_ in EXACT),
    route="quadrature of a polynomial with random coefficients", tolerance=1e-12, cases=4,
)  # fmt: skip
def exact_for_polynomials(case: Case) -> dict[str, float]:
    """A long step over an uneven grid, for a polynomial of the highest degree that is exact."""
    timesteps = np.cumsum(case.rng.uniform(0.2, 0.8, size=4)) - 1.0
    residuals = dict.fromkeys((label for label, *_ in EXACT), 0.0)
    for label, sampler, prediction, order, options in EXACT:
        polynomial = np.polynomial.Polynomial(case.rng.uniform(0.5, 1.5, size=order))
        error = quadrature_error(
            sampler, timesteps.tolist(), polynomial, prediction, order=order, **options
        )
        residuals[label] = max(residuals[label], abs(error))
    return residuals
