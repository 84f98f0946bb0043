"""Checks of the order of the deterministic solvers, one for each claim."""

import re

import numpy as np

from npdiff.verify.orders import CLAIMS, TOLERANCE, Claim, Convergence, measure
from npdiff.verify.registry import Case, check, relative


@check("observed-order", route="errors made up to fall as a known power", tolerance=1e-12, cases=4)
def slope_of_a_power_law(case: Case) -> float:
    """The slopes of errors c N^-p are p, whatever c and whatever the numbers of steps."""
    order, c = case.rng.uniform(0.5, 4.5), case.rng.uniform(0.1, 9.0)
    steps = tuple(np.cumsum(case.rng.integers(3, 40, size=5)).tolist())
    errors = tuple(c * float(n) ** -order for n in steps)
    found = Convergence(CLAIMS[0], "", steps, errors, steps)
    return relative([*found.slopes, found.slope], np.full(5, order))


def _register(claim: Claim) -> None:
    def order(case: Case) -> float:
        found = measure(claim, case.choose(claim.beds))
        expected = [claim.evaluations * n + claim.extra for n in found.steps]
        return abs(found.slope - claim.order) if list(found.asked) == expected else np.inf

    order.__name__ = "order_of_" + re.sub(r"\W+", "_", claim.name)
    order.__doc__ = f"The global error of {claim.name} falls with order {claim.order:g}."
    check(
        claim.label, route="exact mixture ODE by quantiles, steps doubled",
        tolerance=TOLERANCE, cases=len(claim.beds),
    )(order)  # fmt: skip


for _claim in CLAIMS:
    _register(_claim)
