"""Checks of rectified flow's schedule."""

import math
from fractions import Fraction

import numpy as np

from npdiff.laboratory.checks.schedules._integrals import scales
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import RectifiedFlow, shifted_flow


@check("rectified-flow", "flow-shift", method="exact fractions", tolerance=1e-14, cases=8)
def flow_by_fractions(case: Case) -> dict[str, float]:
    """1 - u and u, u = k t / (1 + (k - 1) t); two shifts are a shift by the product."""
    k = case.choose([Fraction(1), Fraction(3), Fraction(2, 5), Fraction(7, 2)])
    named = {Fraction(1): RectifiedFlow(), Fraction(3): shifted_flow()}
    schedule = named.get(k) or RectifiedFlow(float(k))
    t = Fraction(int(case.rng.integers(1, 1024)), 1024)
    u = k * t / (1 + (k - 1) * t)
    expected = np.array([float(1 - u), float(u)])
    logs = np.array([schedule.log_alpha(float(t)), schedule.log_sigma(float(t))])
    straight = max(relative(scales(schedule, float(t)), expected), relative(np.exp(logs), expected))
    level = math.log(Fraction(1 - t, t) ** 2 / k**2)
    twice = RectifiedFlow(1.5 * float(k)).sigma(float(t)) - RectifiedFlow(1.5).sigma(float(u))
    moved = max(abs(float(schedule.log_snr(float(t))) - level) / 10.0, abs(float(twice)))
    return {"rectified-flow": straight, "flow-shift": moved}
