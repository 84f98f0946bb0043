"""Checks of DPM-Solver's singlestep methods."""

from itertools import pairwise

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.laboratory.checks.samplers._exponential import SCHEDULES, problem, trajectory
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import ddim


@check(
    "dpm-solver-1", "dpm-solver-2", "dpm-solver-3", "intermediate-times",
    method="the paper line by line", tolerance=1e-11, cases=len(SCHEDULES),
)  # fmt: skip
def dpm_solver_line_by_line(case: Case) -> dict[str, float]:
    """Singlestep solvers against the paper's algorithms with exponentials written out."""
    p, timesteps, x = problem(case, 2)
    a, sigma, lam, eps = p.a, p.sigma, p.lam, p.noise

    def t_of(place: float) -> float:
        return float(p.schedule.time_at(2.0 * place))

    def one(x: Array, t: float, s: float) -> Array:
        h = lam(s) - lam(t)
        return a(s) / a(t) * x - sigma(s) * (np.exp(h) - 1.0) * eps(x, t)

    def two(x: Array, t: float, s: float, r1: float = 1 / 2) -> Array:
        h = lam(s) - lam(t)
        s1 = t_of(lam(t) + r1 * h)
        u = a(s1) / a(t) * x - sigma(s1) * (np.exp(r1 * h) - 1.0) * eps(x, t)
        change = eps(u, s1) - eps(x, t)
        return one(x, t, s) - sigma(s) / (2 * r1) * (np.exp(h) - 1.0) * change

    def three(x: Array, t: float, s: float, r1: float = 1 / 3, r2: float = 2 / 3) -> Array:
        h = lam(s) - lam(t)
        s1, s2 = t_of(lam(t) + r1 * h), t_of(lam(t) + r2 * h)
        u1 = a(s1) / a(t) * x - sigma(s1) * (np.exp(r1 * h) - 1.0) * eps(x, t)
        D1 = eps(u1, s1) - eps(x, t)
        u2 = a(s2) / a(t) * x - sigma(s2) * (np.exp(r2 * h) - 1.0) * eps(x, t)
        u2 = u2 - sigma(s2) * r2 / r1 * ((np.exp(r2 * h) - 1.0) / (r2 * h) - 1.0) * D1
        D2 = eps(u2, s2) - eps(x, t)
        return one(x, t, s) - sigma(s) / r2 * ((np.exp(h) - 1.0) / h - 1.0) * D2

    residuals = {}
    for order, step in enumerate((one, two, three), start=1):
        y = x
        for t, s in pairwise(timesteps.tolist()):
            y = step(y, t, s)
        options = {} if order == 2 else {"order": order}  # 2 is the default
        found = trajectory("dpm-solver", p, x, timesteps, **options)[-1]
        residuals[f"dpm-solver-{order}"] = relative(found, to_host(y))
    *_, last = ddim(p.denoise, p.schedule, x, timesteps)
    first = trajectory("dpm-solver", p, x, timesteps, order=1)[-1]
    residuals["dpm-solver-1"] = max(residuals["dpm-solver-1"], relative(first, to_host(last.x)))
    p.calls.clear()
    trajectory("dpm-solver", p, x, timesteps[:2], order=3)
    calls = [lam(t) for t in p.calls]
    even = np.linspace(lam(timesteps[0]), lam(timesteps[1]), 4)[:3]
    return {**residuals, "intermediate-times": relative(np.array(calls), even)}
