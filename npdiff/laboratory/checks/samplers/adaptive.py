"""Checks of the adaptive ODE solver."""

import math

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Gaussian, Mixture
from npdiff.laboratory.checks._exact_data import LINE, scales
from npdiff.laboratory.checks._schedules import timesteps
from npdiff.laboratory.checks.samplers._gaussian import PLANE
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import adaptive_ode
from npdiff.schedules import SCHEDULES


@check("flow-in-angle", method="quantiles, coordinate by coordinate", tolerance=1e-8, cases=6)
def product_flow_by_coordinates(case: Case) -> float:
    """A mixture of four in the plane that is a product of two on the line; down to the data."""
    schedule = SCHEDULES[case.choose(["rectified-flow", "cosine", "ve", "sub-vp"])]()
    s, t = (float(u) for u in timesteps(case, schedule, 2))
    s = case.choose([s, 0.0, s])
    p, q = LINE.weights, np.array([0.7, 0.3])
    m, n = LINE.means[:, 0], np.array([0.2, 1.5])
    v, w = LINE.covariances[:, 0, 0], np.array([0.1, 0.05])
    pairs = [(i, j) for i in range(2) for j in range(2)]
    plane = Mixture(
        [p[i] * q[j] for i, j in pairs],
        [Gaussian([m[i], n[j]], np.array([v[i], w[j]])) for i, j in pairs],
    )
    lines = [
        Mixture(list(a), [Gaussian([b[k]], float(c[k])) for k in range(2)])
        for a, b, c in ((p, m, v), (q, n, w))
    ]
    alpha, sigma = scales(schedule, t)
    x = alpha * 0.5 + np.hypot(alpha, sigma) * case.rng.standard_normal((3, 2))
    found = to_host(plane.flow(schedule, case.array(x), t, s))
    parts = [line.flow(schedule, x[:, d : d + 1], t, s) for d, line in enumerate(lines)]
    return relative(found, np.concatenate(parts, axis=1))


@check("flow-in-angle", method="the exact flow", tolerance=1e-7, cases=4)
def adaptive_solution_of_the_flow(case: Case) -> float:
    """With a tight tolerance every reported state is that of the flow, starting from pure noise."""
    schedule = SCHEDULES[case.choose(["rectified-flow", "cosine", "edm", "sub-vp"])]()
    timesteps = np.linspace(1.0, 0.0, 4) ** 1.5 * schedule.t_max
    x, denoise = case.normal((3, 2)) * float(schedule.sigma(timesteps[0])), PLANE.denoiser(schedule)
    if case.index == 3:  # the last time before the data is below t_min
        timesteps[-2] = 0.5 * schedule.t_min
    steps = adaptive_ode(denoise, schedule, x, timesteps, method="DOP853", rtol=1e-10, atol=1e-10)
    run = list(steps)
    worst = 0.0 if [step.t for step in run] == timesteps[1:].tolist() else math.inf
    for step in run:
        s = step.t or min(schedule.t_min, timesteps[-2])
        truth = PLANE.flow(schedule, x, timesteps[0], s)
        if step.t == 0.0:
            truth = PLANE.denoised(schedule, truth, s)
        worst = max(worst, relative(step.x, truth))
    return worst
