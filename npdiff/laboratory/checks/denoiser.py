"""Checks of the denoiser and of clipping."""

import numpy as np

from npdiff.backend import to_host
from npdiff.denoiser import clip_x0
from npdiff.laboratory.checks._schedules import a_schedule, timesteps
from npdiff.laboratory.checks._varying_denoiser import estimates, varying_denoiser
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import EDM, SCHEDULES, LinearVP, RectifiedFlow, Schedule


@check("clipping", method="element by element", tolerance=1e-12, cases=len(SCHEDULES))
def clipping_by_elements(case: Case) -> float:
    """The clipped estimate and the remaining noise, element by element."""
    schedule = a_schedule(case)
    (t,) = timesteps(case, schedule, 1)
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    x, estimate = case.normal((4, 3)), 2.0 * case.normal((4, 3))
    low, high = -0.6, 1.1
    found = clip_x0(lambda x, t: (estimate, x), schedule, low, high)(x, t)
    kept = [min(max(float(value), low), high) for value in to_host(estimate).ravel()]
    noise = [(float(v) - alpha * k) / sigma for v, k in zip(to_host(x).ravel(), kept, strict=True)]
    return max(
        relative(found[0].ravel(), np.array(kept)), relative(found[1].ravel(), np.array(noise))
    )


@check("clipping", method="one state and time after another", tolerance=1e-12)
def clipping_at_each_state_and_time(case: Case) -> float:
    """Clipping to [-1, 1] by default, with a denoiser that depends on state and time."""
    schedule: Schedule = case.choose([LinearVP(), EDM(), RectifiedFlow()])
    t, x = timesteps(case, schedule, 3), case.normal((3, 2, 2))
    found = clip_x0(varying_denoiser(schedule, 1.3, 2.0), schedule)(x, t)
    raw = 1.3 * to_host(x) + np.sin(2.0 * t).reshape(3, 1, 1)
    kept = np.array([min(max(value, -1.0), 1.0) for value in raw.ravel()]).reshape(raw.shape)
    expected = estimates(schedule, to_host(x), t, kept)
    return max(relative(a, b) for a, b in zip(found, expected, strict=True))
