"""Checks of the exact flows: the map of the probability-flow ODE."""

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import FiniteData, Uniform
from npdiff.laboratory.checks._exact_data import POINTS, WEIGHTS, fine_rule, scales
from npdiff.laboratory.checks._schedules import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import SCHEDULES


@check("quantile-flow", "flow-in-angle", method="quantiles of the data", tolerance=1e-8, cases=4)
def flows_end_at_the_data(case: Case) -> dict[str, float]:
    """A segment and points on the line, from and to t = 0; points of a product, in the plane."""
    from scipy.special import ndtr

    schedule = SCHEDULES[case.choose(["vp", "edm", "rectified-flow", "cosine"])]()
    t = 2.19 if case.index % 4 == 1 else float(schedule.time_at(0.0))  # EDM's sigma is t
    alpha, sigma = scales(schedule, t)
    segment, line = Uniform(-0.7, 1.6), FiniteData([[0.3], [-1.2], [0.9]], [1.0, 2.0, 5.0])
    x = case.rng.uniform(-0.7, 1.6, (4, 1))
    there = to_host(segment.flow(schedule, case.array(x), 0.0, t))
    nodes, weights = np.polynomial.legendre.leggauss(60)
    data = 0.45 + 1.15 * nodes
    below = 0.5 * weights @ ndtr((there[:, 0] - alpha * data[:, None]) / sigma)
    back = segment.flow(schedule, case.array(there), t, 0.0)
    y = alpha * case.rng.choice([0.3, -1.2, 0.9], (5, 1)) + sigma * case.rng.normal(size=(5, 1))
    probability = ndtr((y - alpha * np.array([-1.2, 0.3, 0.9])) / sigma) @ np.array(
        [0.25, 0.125, 0.625]
    )
    place = np.array([-1.2, 0.3, 0.9])[np.searchsorted([0.25, 0.375], probability)]
    ends = line.flow(schedule, case.array(y), t, 0.0)
    # the flow of a product of two sets of points acts coordinate by coordinate
    other, v = FiniteData([[0.5], [-0.4]], [3.0, 1.0]), alpha * 0.2 + sigma * case.rng.normal()
    plane = FiniteData(
        [[a, b] for a in (0.3, -1.2, 0.9) for b in (0.5, -0.4)], [3.0, 1.0, 6.0, 2.0, 15.0, 5.0]
    )
    z = np.concatenate([y, np.full((5, 1), v)], axis=1)
    found = plane.flow(schedule, case.array(z), t, 0.0)
    parts = [place[:, None], other.flow(schedule, z[:, 1:], t, 0.0)]
    return {
        "quantile-flow": max(
            relative(below, (x[:, 0] + 0.7) / 2.3),
            relative(back, x),
            relative(ends, place[:, None]),
        ),
        "flow-in-angle": relative(found, np.concatenate(parts, axis=1)),
    }


@check(
    "quantile-flow",
    method="quadrature of the density up to both ends",
    tolerance=1e-9,
    cases=len(SCHEDULES),
)
def flows_preserve_quantiles(case: Case) -> float:
    """Uniform data and points on the line: the probability below start and end is the same."""
    schedule = a_schedule(case)
    s, t = (float(u) for u in timesteps(case, schedule, 2))
    data = case.choose([Uniform(-0.7, 1.6), FiniteData(POINTS[:, :1], WEIGHTS)])
    low, high = (-0.7, 1.6) if isinstance(data, Uniform) else (-1.2, 0.9)

    def below(u: float, x: float) -> float:
        alpha, sigma = scales(schedule, u)
        places = (low, high) if isinstance(data, Uniform) else POINTS[:, 0]
        around = [(alpha * place, sigma) for place in places]
        nodes, weights = fine_rule(alpha * low - 12.0 * sigma, x, *around)
        return float(weights @ np.exp(data.log_density(schedule, nodes[:, None], u)))

    alpha, sigma = scales(schedule, t)
    x = alpha * case.rng.uniform(low, high, 2) + sigma * case.rng.standard_normal(2)
    end = to_host(data.flow(schedule, case.array(x[:, None]), t, s))[:, 0]
    return relative([below(s, b) for b in end], [below(t, a) for a in x])
