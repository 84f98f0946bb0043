"""Checks of the budget of evaluations of DPM-Solver."""

import numpy as np

from npdiff.laboratory.checks.samplers._exponential import SCHEDULES, problem
from npdiff.laboratory.registry import Case, check
from npdiff.samplers import SAMPLERS
from npdiff.samplers._dpm_solver import budget_orders


@check(
    "budget-orders",
    method="step by step, from the remaining evaluations",
    tolerance=0.0,
    cases=2 * len(SCHEDULES),
)
def budget_by_a_count_down(case: Case) -> float:
    """The orders of the steps, their times and their evaluations, against a count-down."""
    left, order = 1 + case.index, 1 + int(case.rng.integers(3))
    p, timesteps, x = problem(case, left)
    expected, visited = [], []
    while left:
        size = 2 if order == 3 and left == 3 else min(order, left)
        expected.append(size)
        left -= size
        visited.append(timesteps[sum(expected)])
    steps = list(
        SAMPLERS["dpm-solver"](p.denoise, p.schedule, x, timesteps, order=order, budget=True)
    )  # fmt: skip
    wrong = len(p.calls) - (len(timesteps) - 1)
    if budget_orders(len(timesteps) - 1, order) != expected or len(steps) != len(visited):
        return np.inf
    return float(abs(wrong) + sum(abs(s.t - t) for s, t in zip(steps, visited, strict=True)))
