"""Checks of what exponential integrators are made of: phi, exact solutions, Taylor, differences."""

import math
from decimal import Decimal, localcontext
from itertools import pairwise

import numpy as np

from npdiff.backend import to_host
from npdiff.laboratory.quadrature import integral
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers.exponential import (
    DATA_PREDICTION,
    NOISE_PREDICTION,
    first_order,
    phi,
    taylor_step,
)
from npdiff.samplers.multistep import History, derivatives, raise_order
from npdiff.schedules import EDM, VE, Cosine, LinearVP, RectifiedFlow, Schedule, SubVP

SCHEDULES: tuple[Schedule, ...] = (
    LinearVP(), Cosine(), EDM(), VE(), SubVP(), RectifiedFlow(3.0),
)  # fmt: skip

#: On either side of where the series hands over to the recurrence, and far from it.
ARGUMENTS = (-60.0, -7.3, -2.0, -1.9999, -0.4, -1e-7, 0.0, 3e-12, 0.05, 1.7, 2.0, 2.1, 9.0)


def places(case: Case, steps: int) -> np.ndarray:
    """Half log-SNR of an uneven grid, ascending, within every schedule's range."""
    return -2.0 + 4.0 * np.sort(case.rng.uniform(size=steps + 1)) + 0.1 * np.arange(steps + 1)


@check("phi-functions", route="Gauss's quadrature of the integral", tolerance=1e-13, cases=13)
def phi_by_quadrature(case: Case) -> float:
    """The functions phi against the integral that defines them, on both sides of the hand-over."""
    z, n = case.choose(ARGUMENTS), 1 + int(case.rng.integers(5))

    def integrand(u: np.ndarray) -> np.ndarray:
        return np.exp((1.0 - u) * z) * u ** (n - 1) / math.factorial(n - 1)

    parts = np.linspace(0.0, 1.0, 9)
    expected = math.fsum(integral(integrand, a, b) for a, b in pairwise(parts))
    found = [phi(0, z), phi(n, z)]
    return max(relative(a, b) for a, b in zip(found, [math.exp(z), expected], strict=True))


@check("phi-recurrence", route="60 decimal digits", tolerance=1e-14, cases=13)
def phi_in_decimals(case: Case) -> float:
    """The functions phi against their recurrence where its cancellation does no harm."""
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
    route="an ODE solver on the probability flow in time", tolerance=1e-10, cases=6,
)  # fmt: skip
def solution_by_the_ode(case: Case) -> dict[str, float]:
    """A Taylor step of a cubic estimate against the solution of dx/dt = alpha' x_0 + sigma' eps."""
    from scipy.integrate import solve_ivp

    schedule = case.choose(SCHEDULES)
    a, b = places(case, 1)
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


@check("divided-differences", route="a polynomial fitted to the points", tolerance=1e-11, cases=8)
def differences_by_a_fit(case: Case) -> float:
    """The derivatives at the latest of two or three points against those of numpy.polyfit."""
    count = case.choose((2, 3))
    nodes, values = places(case, count - 1)[::-1], case.rng.standard_normal((count, 4))
    h = float(case.rng.uniform(0.2, 1.5))
    history: History = [
        (float(u), case.array(m)) for u, m in zip(nodes, values, strict=True)
    ]  # fmt: skip
    fitted = np.polyfit(nodes - nodes[0], values, count - 1)[::-1]
    expected = [math.factorial(n) * h**n * fitted[n] for n in range(1, count)]
    found = derivatives(history, h)
    errors = [relative(a, b) for a, b in zip(found, expected, strict=True)]
    if count == 3:  # as legacy: half the second derivative
        _, second = derivatives(history, h, legacy=True)
        errors.append(relative(second, 0.5 * expected[1]))
    return max(errors)


@check("midpoint-rule", route="the estimate half way, held over the step", tolerance=1e-12, cases=4)
def midpoint_holds_the_middle(case: Case) -> float:
    """The midpoint rule against a step of order one with the line's value in its middle."""
    prediction, h = (
        case.choose((NOISE_PREDICTION, DATA_PREDICTION)),
        float(case.rng.uniform(0.1, 1.5)),
    )
    (b, a), (n, m) = places(case, 1), case.rng.standard_normal((2, 4))
    history: History = [(float(a), case.array(m)), (float(b), case.array(n))]
    x, scale = case.normal((4,)), float(case.rng.uniform(0.5, 2.0))
    found = raise_order(x, scale, prediction.sign * h, h, history, midpoint=True)
    middle = m + 0.5 * h * (m - n) / (a - b)
    held = -scale * (math.exp(prediction.sign * h) - 1.0) * (middle - m)
    return relative(to_host(found) - to_host(x), held)
