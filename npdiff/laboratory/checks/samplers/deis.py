"""Checks of DEIS: its ODE, its integrals, its steps."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from npdiff.backend import to_host
from npdiff.laboratory.checks.samplers._exponential import (
    SCHEDULES,
    lambdas,
    problem,
    states_from_estimates,
)
from npdiff.laboratory.quadrature import denoiser_in_time, integral
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers._deis import VARIABLES, deis, lagrange_integrals, moments
from npdiff.schedules import Schedule, Times


def rho(schedule: Schedule, t: float) -> float:
    """sigma / alpha."""
    return float(schedule.sigma(t) / schedule.alpha(t))


def variable(schedule: Schedule, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """The named variable as a function of rho."""
    if name == "t":
        return lambda r: schedule.time_at(-2.0 * np.log(r))
    return np.log if name == "log-rho" else np.asarray


@check(
    "deis-moments",
    method="quadrature over rho",
    tolerance=1e-10,
    cases=len(VARIABLES) * len(SCHEDULES),
)
def moments_by_quadrature(case: Case) -> float:
    """Powers of t, rho and log rho, integrated over rho."""
    schedule, name = SCHEDULES[case.index // 3 % len(SCHEDULES)], case.choose(VARIABLES)
    t, s = (float(u) for u in schedule.time_at(2.0 * lambdas(case, 1)))
    v, ends = variable(schedule, name), (rho(schedule, t), rho(schedule, s))
    at_t = v(np.array(ends[0]))

    def power(n: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda r: (v(r) - at_t) ** n

    expected = [integral(power(n), *ends) for n in range(4)]
    found = moments(schedule, name, t, s, 4)
    return max(relative(a, b) for a, b in zip(found, expected, strict=True))


@check("deis-coefficients", method="Lagrange's polynomials, expanded", tolerance=1e-10, cases=6)
def coefficients_by_expansion(case: Case) -> float:
    """Coefficients from arbitrary moments against those of the expanded polynomials."""
    count = case.choose((2, 3))
    nodes = np.cumsum(case.rng.uniform(0.2, 1.0, size=count)) * case.rng.choice([-1.0, 1.0])
    M = case.rng.standard_normal(count)
    expected = []
    for k in range(count):
        others = np.delete(nodes, k)
        expanded = np.poly(others - nodes[0]) / np.prod(nodes[k] - others)
        expected.append(expanded[::-1] @ M)
    return relative(np.array(lagrange_integrals(nodes.tolist(), M.tolist())), np.array(expected))


@check(
    "deis-step", "deis-solution", method="integrals over rho", tolerance=1e-9, cases=len(SCHEDULES)
)
def steps_by_quadrature(case: Case) -> float:
    """DEIS with given random estimates against x / alpha plus an integral over rho."""
    p, timesteps, x = problem(case, 5)
    x, m = to_host(x), case.rng.standard_normal((5, 5))
    times = timesteps.tolist()
    name, worst = VARIABLES[(case.index + case.index // len(SCHEDULES)) % 3], 0.0
    v = variable(p.schedule, name)
    nodes = [float(v(np.array(rho(p.schedule, t)))) for t in times]
    for order in (1, 2, 3):
        y, expected = x, []
        for i, (t, s) in enumerate(pairwise(times)):
            used = list(range(max(0, i + 1 - order), i + 1))
            ends = rho(p.schedule, t), rho(p.schedule, s)
            w = lagrange(v, [nodes[k] for k in used], *ends)
            y = p.a(s) * (y / p.a(t) + w @ m[used])
            expected.append(y)
        found = states_from_estimates(
            case, "deis", p, x, timesteps, m, "eps", order=order, variable=name
        )
        worst = max(worst, relative(found, np.array(expected)))
    return worst


def lagrange(
    v: Callable[[np.ndarray], np.ndarray], nodes: list[float], a: float, b: float
) -> np.ndarray:
    """The integrals over rho from a to b of the Lagrange polynomials in v(rho)."""

    def basis(k: int) -> Callable[[np.ndarray], np.ndarray]:
        others = [node for j, node in enumerate(nodes) if j != k]
        return lambda r: np.prod([(v(r) - u) / (nodes[k] - u) for u in others] + [r**0], axis=0)

    return np.array([integral(basis(k), a, b) for k in range(len(nodes))])


@check(
    "deis-solution",
    "deis-step",
    method="an ODE solver on the flow in time",
    tolerance=1e-9,
    cases=len(SCHEDULES),
)
def solution_by_the_ode_in_time(case: Case) -> float:
    """A third-order step where the noise is a parabola in rho, against dx/dt of the flow."""
    from scipy.integrate import solve_ivp

    p, timesteps, x = problem(case, 3)
    c, schedule = case.rng.standard_normal((3, 5)), p.schedule

    def noise(t: Times) -> np.ndarray:
        r = rho(schedule, float(t))
        return c[0] + c[1] * r + c[2] * r**2

    def slope(u: float, y: np.ndarray) -> np.ndarray:
        eps = noise(u)
        x_0 = (y - schedule.sigma(u) * eps) / schedule.alpha(u)
        return schedule.alpha_dot(u) * x_0 + schedule.sigma_dot(u) * eps

    denoise = denoiser_in_time(schedule, "eps", noise)
    _, before, after = deis(denoise, schedule, x, timesteps, variable="rho")
    ends = (float(timesteps[2]), float(timesteps[3]))
    truth = solve_ivp(slope, ends, to_host(before.x), method="DOP853", rtol=1e-12, atol=1e-13)
    return relative(after.x, truth.y[:, -1])
