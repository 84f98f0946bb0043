"""Checks of the phi functions and of the exact solution behind exponential integrators."""

import math
from decimal import Decimal, localcontext
from itertools import pairwise

import numpy as np

from npdiff.laboratory.checks.samplers._exponential import SCHEDULES, lambdas
from npdiff.laboratory.quadrature import integral
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers.exponential import (
    DATA_PREDICTION,
    NOISE_PREDICTION,
    first_order,
    phi,
    taylor_step,
)

#: Arguments on both sides of the switch from the series to the recurrence, and far from it.
ARGUMENTS = (-60.0, -7.3, -2.0, -1.9999, -0.4, -1e-7, 0.0, 3e-12, 0.05, 1.7, 2.0, 2.1, 9.0)


@check(
    "phi-functions",
    method="Gauss quadrature of the integral",
    tolerance=1e-13,
    cases=len(ARGUMENTS),
)
def phi_by_quadrature(case: Case) -> float:
    """The phi functions against their defining integral, on both sides of the switch."""
    z, n = case.choose(ARGUMENTS), 1 + int(case.rng.integers(5))

    def integrand(u: np.ndarray) -> np.ndarray:
        return np.exp((1.0 - u) * z) * u ** (n - 1) / math.factorial(n - 1)

    parts = np.linspace(0.0, 1.0, 9)
    expected = math.fsum(integral(integrand, a, b) for a, b in pairwise(parts))
    found = [phi(0, z), phi(n, z)]
    return max(relative(a, b) for a, b in zip(found, [math.exp(z), expected], strict=True))


@check("phi-recurrence", method="60 decimal digits", tolerance=1e-14, cases=len(ARGUMENTS))
def phi_in_decimals(case: Case) -> float:
    """The phi functions against their recurrence with enough digits for its cancellation."""
    z = case.choose(ARGUMENTS) or 1e-9
    worst = 0.0
    with localcontext() as context:
        context.prec = 120
        value = Decimal(z).exp()
        for n in range(6):
            worst = max(worst, relative(phi(n, z), float(value)))
            value = (value - 1 / Decimal(math.factorial(n))) / Decimal(z)
    return worst


@check(
    "exponential-eps", "exponential-x0", "exponential-taylor",
    method="an ODE solver on the probability flow in time", tolerance=1e-10, cases=len(SCHEDULES),
)  # fmt: skip
def solution_by_the_ode(case: Case) -> dict[str, float]:
    """A Taylor step for a cubic estimate against a solution of dx/dt = alpha' x_0 + sigma' eps."""
    from scipy.integrate import solve_ivp

    schedule = case.choose(SCHEDULES)
    a, b = lambdas(case, 1)
    t, s = (float(schedule.time_at(2.0 * place)) for place in (a, b))
    start, c = case.rng.standard_normal(4), case.rng.standard_normal((4, 4))
    residuals = {}
    for prediction in (NOISE_PREDICTION, DATA_PREDICTION):

        def slope(u: float, x: np.ndarray, name: str = prediction.name) -> np.ndarray:
            v = 0.5 * schedule.log_snr(u) - a
            m = sum(c[n] * v**n / math.factorial(n) for n in range(4))
            alpha, sigma = schedule.alpha(u), schedule.sigma(u)
            x_0, eps = (
                (m, (x - alpha * m) / sigma) if name == "x0" else ((x - sigma * m) / alpha, m)
            )
            return schedule.alpha_dot(u) * x_0 + schedule.sigma_dot(u) * eps

        truth = solve_ivp(slope, (t, s), start, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
        x, m = case.array(start), case.array(c[0])
        x_0, eps = prediction.both_estimates(schedule, x, m, t)
        h = b - a
        terms = [case.array(c[n] * h**n) for n in (1, 2, 3)]
        base = first_order(schedule, x_0, eps, s)
        found = taylor_step(base, prediction.scale(schedule, s), prediction.sign * h, terms)
        residuals[f"exponential-{prediction.name}"] = relative(found, truth)
    return {**residuals, "exponential-taylor": max(residuals.values())}
