"""Checks of Euler's and Heun's samplers in time."""

from itertools import pairwise

import numpy as np

from npdiff.backend import to_host
from npdiff.laboratory.checks.samplers._gaussian import PLANE, a_schedule, derivative, inner_time
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import euler, heun
from npdiff.samplers.ode import velocity
from npdiff.schedules import SCHEDULES


@check(
    "probability-flow",
    method="central differences of the exact flow",
    tolerance=1e-7,
    cases=3 * len(SCHEDULES),
)
def velocity_of_the_exact_flow(case: Case) -> float:
    """The velocity, in both of its forms, is the time derivative of the flow of normal data."""
    schedule = a_schedule(case)
    t, x = inner_time(case, schedule), case.normal((5, 2))
    x = x * float(np.hypot(schedule.alpha(t), schedule.sigma(t)))
    h = 0.1 if schedule.steps else 1e-3 * min(t, schedule.t_max - t)
    moving = derivative(lambda s: to_host(PLANE.flow(schedule, x, t, s)), t, h)
    found = velocity(schedule, *PLANE.denoiser(schedule)(x, t), t)
    other = float(schedule.drift(t)) * x
    other = other - 0.5 * float(schedule.diffusion(t)) * PLANE.score(schedule, x, t)
    return max(relative(found, moving), relative(other, moving))


@check(
    "euler-step",
    "heun-step",
    method="slopes from the score, by hand",
    tolerance=1e-10,
    cases=3 * len(SCHEDULES),
)
def steps_along_the_score(case: Case) -> dict[str, float]:
    """Two steps with the slope f x - g^2 score / 2, and the last step to the data."""
    schedule = a_schedule(case)
    timesteps = np.array([0.9, 0.7, 0.55, 0.0]) * schedule.t_max
    x, denoise = case.normal((4, 2)), PLANE.denoiser(schedule)
    first, second = [x], [x]

    def slope(y: np.ndarray, u: float) -> np.ndarray:
        half = 0.5 * float(schedule.diffusion(u))
        return float(schedule.drift(u)) * y - half * PLANE.score(schedule, y, u)

    for t, s in pairwise(timesteps[:3].tolist()):
        first.append(first[-1] + (s - t) * slope(first[-1], t))
        k = slope(second[-1], t)
        ahead = slope(second[-1] + (s - t) * k, s)
        second.append(second[-1] + (s - t) * (k + ahead) / 2.0)
    worst = {}
    for label, run, states in (("euler-step", euler, first), ("heun-step", heun, second)):
        found = [step.x for step in run(denoise, schedule, x, timesteps)]
        end = PLANE.denoised(schedule, states[-1], timesteps[2])
        pairs = zip(found, [*states[1:], end], strict=True)
        worst[label] = max(relative(f, e) for f, e in pairs)
    return worst
