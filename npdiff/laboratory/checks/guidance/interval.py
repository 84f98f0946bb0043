"""Checks of the guidance interval."""

import math

import numpy as np

from npdiff import guidance
from npdiff.backend import to_host
from npdiff.laboratory.checks._class_mixtures import time_in_schedule
from npdiff.laboratory.checks._schedules import timesteps
from npdiff.laboratory.checks._varying_denoiser import estimates, varying_denoiser
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import EDM, SCHEDULES, LinearVP, RectifiedFlow, Schedule


@check(
    "guidance-interval",
    method="a choice per sample from sigma / alpha",
    tolerance=0.0,
    cases=2 * len(SCHEDULES),
)
def interval_by_cases(case: Case) -> float:
    """Guidance limited to an interval against a choice sample by sample."""
    schedule, _, _ = time_in_schedule(case)
    t = schedule.t_max * np.linspace(0.05, 0.95, 12)
    level = schedule.sigma(t) / schedule.alpha(t)
    low, high = (0.5 * (level[i] + level[i + 1]) for i in (2, 7))
    if case.index % 2:  # the ends of time: no noise is outside (0, ...], no signal is inside
        schedule, low, high = RectifiedFlow(), 0.0, math.inf
        t = np.linspace(0.0, 1.0, 12)
        level = np.concatenate([t[:-1] / (1.0 - t[:-1]), [math.inf]])
    x, a, b, c, d = (case.normal((12, 2)) for _ in range(5))
    denoise = guidance.guidance_interval(
        lambda x, t: (a, b), lambda x, t: (c, d), schedule, low, high
    )
    inside = np.array([low < of_sample <= high for of_sample in level])
    expected = [np.where(inside[:, None], *map(to_host, pair)) for pair in ((a, c), (b, d))]
    together = max(relative(f, e) for f, e in zip(denoise(x, t), expected, strict=True))
    alone = [to_host(denoise(x, float(one))[0])[n] for n, one in enumerate(t)]
    return max(together, relative(np.stack(alone), expected[0]))


@check("guidance-interval", method="sample by sample", tolerance=1e-12, cases=6)
def intervals_of_each_sample(case: Case) -> float:
    """Samples with different times: inside the guided denoiser, outside the conditional one."""
    schedule: Schedule = case.choose([LinearVP(), EDM(), RectifiedFlow()])
    t, x = timesteps(case, schedule, 5), case.normal((5, 2, 2))
    levels = np.sort(schedule.sigma(t) / schedule.alpha(t))
    low, high = 0.5 * (levels[0] + levels[1]), 0.5 * (levels[3] + levels[4])
    if case.index >= 3:
        low, high = 0.0, float("inf")
    guided, cond = varying_denoiser(schedule, 0.7, 1.0), varying_denoiser(schedule, -0.4, 3.0)
    found = guidance.guidance_interval(guided, cond, schedule, low, high)(x, t)
    x_0 = np.empty(x.shape)
    for n in range(5):
        within = low < schedule.sigma(t[n]) / schedule.alpha(t[n]) <= high
        slope, rate = (0.7, 1.0) if within else (-0.4, 3.0)
        x_0[n] = slope * to_host(x)[n] + np.sin(rate * t[n])
    expected = estimates(schedule, to_host(x), t, x_0)
    off = [relative(a, b) for a, b in zip(found, expected, strict=True)]
    for n in range(5):  # with one time for all samples only one denoiser is called
        one = guidance.guidance_interval(guided, cond, schedule, low, high)(x, float(t[n]))[0]
        off.append(relative(one[n], x_0[n]))
    return max(off)
