"""TODO Guidance: scores of guided densities by complex steps, and each recipe by plain loops. | Checks of what denoisers made of denoisers ask: at which state, and at which times."""

import math

import numpy as np

from npdiff import guidance
from npdiff.backend import to_host
from npdiff.laboratory.checks._class_mixtures import moment
from npdiff.laboratory.checks._schedules import timesteps
from npdiff.laboratory.checks._varying_denoiser import said, speaker
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import EDM, LinearVP, RectifiedFlow, Schedule


@check(
    "guidance-interval",
    method="a choice for each sample by the ratio of the two scales",
    tolerance=0.0,
    cases=12,
)
def interval_by_cases(case: Case) -> float:
    """Guidance limited to an interval against a choice sample by sample."""
    schedule, _, _ = moment(case)
    t = schedule.t_max * np.linspace(0.05, 0.95, 12)
    level = schedule.sigma(t) / schedule.alpha(t)
    low, high = (0.5 * (level[i] + level[i + 1]) for i in (2, 7))
    if case.index % 2:  # the ends themselves: no noise is outside of (0, ...], no signal inside
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
    """Samples at times of their own: those within hear one denoiser, the others another."""
    schedule: Schedule = case.choose([LinearVP(), EDM(), RectifiedFlow()])
    t, x = timesteps(case, schedule, 5), case.normal((5, 2, 2))
    levels = np.sort(schedule.sigma(t) / schedule.alpha(t))
    low, high = 0.5 * (levels[0] + levels[1]), 0.5 * (levels[3] + levels[4])
    if case.index >= 3:
        low, high = 0.0, float("inf")
    guided, cond = speaker(schedule, 0.7, 1.0), speaker(schedule, -0.4, 3.0)
    found = guidance.guidance_interval(guided, cond, schedule, low, high)(x, t)
    x_0 = np.empty(x.shape)
    for n in range(5):
        within = low < schedule.sigma(t[n]) / schedule.alpha(t[n]) <= high
        slope, rate = (0.7, 1.0) if within else (-0.4, 3.0)
        x_0[n] = slope * to_host(x)[n] + np.sin(rate * t[n])
    expected = said(schedule, to_host(x), t, x_0)
    off = [relative(a, b) for a, b in zip(found, expected, strict=True)]
    for n in range(5):  # at one time for all, only one is asked
        one = guidance.guidance_interval(guided, cond, schedule, low, high)(x, float(t[n]))[0]
        off.append(relative(one[n], x_0[n]))
    return max(off)
