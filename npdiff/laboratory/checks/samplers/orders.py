"""Checks of the orders of the deterministic samplers, one per claim."""

import re

import numpy as np

from npdiff.laboratory.orders import CLAIMS, Claim, measure
from npdiff.laboratory.registry import Case, check
from npdiff.verify.convergence import TOLERANCE


def _register(claim: Claim) -> None:
    def order(case: Case) -> float:
        found = measure(claim, case.choose(claim.problems))
        expected = [claim.evaluations * n + claim.extra for n in found.steps]
        return abs(found.slope - claim.order) if list(found.evaluations) == expected else np.inf

    order.__name__ = "order_of_" + re.sub(r"\W+", "_", claim.name)
    order.__doc__ = f"The global error of {claim.name} falls with order {claim.order:g}."
    check(
        claim.label, method="exact mixture ODE by quantiles, steps doubled",
        tolerance=TOLERANCE, cases=len(claim.problems),
    )(order)  # fmt: skip


for _claim in CLAIMS:
    _register(_claim)
