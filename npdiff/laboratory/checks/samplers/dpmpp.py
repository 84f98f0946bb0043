"""Checks of DPM-Solver++."""

from itertools import pairwise
from typing import Any

import numpy as np

from npdiff.backend import to_host
from npdiff.laboratory.checks.samplers._exponential import SCHEDULES, problem, trajectory
from npdiff.laboratory.registry import Case, check, relative


@check(
    "dpmpp-2s", "dpmpp-2m", "dpmpp-3m", "dpm-solver-multistep",
    method="the papers and their published code, line by line", tolerance=1e-11,
    cases=len(SCHEDULES),
)  # fmt: skip
def dpmpp_line_by_line(case: Case) -> dict[str, float]:
    """2S, 2M, the published 3M and both in eps against their algorithms with r and D."""
    p, timesteps, x = problem(case, 5)
    a, sigma, lam = p.a, p.sigma, p.lam
    times = timesteps.tolist()

    y, two_s = x, []
    for t, s in pairwise(times):
        h, r = lam(s) - lam(t), 1 / 2
        s1 = float(p.schedule.time_at(2.0 * (lam(t) + r * h)))
        u = sigma(s1) / sigma(t) * y - a(s1) * (np.exp(-r * h) - 1.0) * p.data(y, t)
        D = (1 - 1 / (2 * r)) * p.data(y, t) + 1 / (2 * r) * p.data(u, s1)
        y = sigma(s) / sigma(t) * y - a(s) * (np.exp(-h) - 1.0) * D
        two_s.append(to_host(y))

    def published(noise: bool, order: int) -> np.ndarray:
        """The multistep formulas of public code; in eps they have h for -h."""
        model, c = (p.noise, sigma) if noise else (p.data, a)
        y, past = x, []
        for i, (t, s) in enumerate(pairwise(times)):
            h = lam(s) - lam(t)
            z = h if noise else -h
            phi_1 = np.exp(z) - 1.0
            phi_2, phi_3 = phi_1 / z - 1.0, (phi_1 / z - 1.0) / z - 0.5
            past.append(model(y, t))
            y = (a(s) / a(t) if noise else sigma(s) / sigma(t)) * y - c(s) * phi_1 * past[-1]
            if i == 0:
                continue
            r0 = (lam(t) - lam(times[i - 1])) / h
            D1_0 = (past[-1] - past[-2]) / r0
            if i == 1 or order == 2:
                y = y - c(s) * (0.5 * phi_1 if order == 2 else phi_2) * D1_0
                continue
            r1 = (lam(times[i - 1]) - lam(times[i - 2])) / h
            D1_1 = (past[-2] - past[-3]) / r1
            D1 = D1_0 + r0 / (r0 + r1) * (D1_0 - D1_1)
            D2 = (D1_0 - D1_1) / (r0 + r1)
            y = y - c(s) * phi_2 * D1 - c(s) * phi_3 * D2
        return to_host(y)

    def found(name: str, **options: Any) -> np.ndarray:
        return to_host(trajectory(name, p, x, timesteps, **options)[-1])

    return {
        "dpmpp-2s": relative(np.array(two_s), np.array([
            to_host(step) for step in trajectory("dpmpp-2s", p, x, timesteps)
        ])),
        "dpmpp-2m": relative(found("dpmpp-multistep"), published(False, 2)),
        "dpmpp-3m": relative(
            found("dpmpp-multistep", order=3, legacy=True), published(False, 3)
        ),
        "dpm-solver-multistep": max(
            relative(found("dpm-solver-multistep"), published(True, 2)),
            relative(found("dpm-solver-multistep", order=3, legacy=True), published(True, 3)),
        ),
    }  # fmt: skip
