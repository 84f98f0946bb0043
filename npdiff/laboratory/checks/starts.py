"""Checks of how the solvers start, how they end, and how they spend a number of evaluations."""

from typing import Any

import numpy as np

from npdiff.backend import to_host
from npdiff.laboratory.checks.solvers import problem, trajectory
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import SAMPLERS
from npdiff.samplers._dpm_solver import budget_orders

#: Solvers with a start to choose: label, name, options, and the order and form of their first step.
STARTS: tuple[tuple[str, str, dict[str, Any], int, str], ...] = (
    ("dpm-solver-multistep", "dpm-solver-multistep", {"order": 3}, 2, "eps"),
    ("dpm-solver-multistep", "dpm-solver-multistep", {"order": 2}, 1, "eps"),
    ("dpmpp-3m", "dpmpp-multistep", {"order": 3}, 2, "x0"),
    ("deis-step", "deis", {"order": 3}, 2, "eps"),
    ("deis-step", "deis", {"order": 2, "variable": "rho"}, 1, "eps"),
    ("unip", "unipc", {"order": 3}, 3, "x0"),
    ("unip", "unipc", {"order": 3, "prediction": "eps", "corrector": False}, 3, "eps"),
    ("unip", "unipc", {"order": 2, "prediction": "eps"}, 1, "eps"),
)


@check(
    *dict.fromkeys(label for label, *_ in STARTS),
    route="the singlestep solver's own first step", tolerance=1e-12, cases=6,
)  # fmt: skip
def singlestep_starts(case: Case) -> dict[str, float]:
    """The first of several steps with a singlestep start against the singlestep solver's."""
    p, timesteps, x = problem(case, 3)
    residuals = dict.fromkeys((label for label, *_ in STARTS), 0.0)
    for label, name, options, order, prediction in STARTS:
        p.asked.clear()
        started = trajectory(name, p, x, timesteps, start="singlestep", **options)
        asked = len(p.asked)
        first = trajectory("dpm-solver", p, x, timesteps[:2], order=order, prediction=prediction)
        residual = relative(started[0], to_host(first[0])) if asked == order + 2 else np.inf
        residuals[label] = max(residuals[label], residual)
    return residuals


@check("budget-orders", route="step by step, from what is left", tolerance=0.0, cases=12)
def budget_from_what_is_left(case: Case) -> float:
    """The orders of the steps, the times they visit and what they ask, against a count-down."""
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
    wrong = len(p.asked) - (len(timesteps) - 1)
    if budget_orders(len(timesteps) - 1, order) != expected or len(steps) != len(visited):
        return np.inf
    return float(abs(wrong) + sum(abs(s.t - t) for s, t in zip(steps, visited, strict=True)))
