"""Checks of the reverse SDE and of Euler and Maruyama's sampler."""

import math

import numpy as np

from npdiff.exact import Gaussian
from npdiff.laboratory.checks.samplers._gaussian import PLANE, a_schedule, derivative, inner_time
from npdiff.laboratory.checks.samplers._weak_order import weak_order_error
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import euler_maruyama
from npdiff.samplers.sde import reverse_drift
from npdiff.schedules import SCHEDULES


@check(
    "reverse-sde",
    method="moment equations against the marginals",
    tolerance=1e-6,
    cases=3 * len(SCHEDULES),
)
def reverse_sde_has_the_marginals(case: Case) -> float:
    """Mean and variance under drift b x + c and noise g change as those of q(x_t)."""
    schedule, (m, v) = a_schedule(case), (0.7, 0.4)
    t = inner_time(case, schedule)
    denoise, x = Gaussian([m], v).denoiser(schedule), np.array([[0.0], [1.0]])
    c, at_one = reverse_drift(schedule, x, denoise(x, t)[1], t)[:, 0]
    b = at_one - c
    h = 0.1 if schedule.steps else 1e-3 * min(t, schedule.t_max - t)
    mean, total = (
        schedule.alpha(t) * m,
        schedule.alpha(t) ** 2 * v + schedule.sigma(t) ** 2,
    )
    mean_dot = derivative(lambda s: schedule.alpha(s) * m, t, h)
    total_dot = derivative(lambda s: schedule.alpha(s) ** 2 * v + schedule.sigma(s) ** 2, t, h)
    g2 = schedule.diffusion(t)
    scale = abs(b) * total + g2
    return max(
        float(abs(b * mean + c - mean_dot) / (abs(b * mean) + abs(c))),
        float(abs(2.0 * b * total - g2 - total_dot) / scale),
    )


@check(
    "euler-maruyama-step",
    method="one step by hand, from the score",
    tolerance=1e-10,
    cases=3 * len(SCHEDULES),
)
def euler_maruyama_along_the_score(case: Case) -> float:
    """x + (s - t) (f x - g^2 score) + g sqrt(t - s) z; from pure noise the ancestral step."""
    schedule = a_schedule(case)
    timesteps = np.array([0.8, 0.7, 0.0]) * schedule.t_max
    if case.index % 2:
        timesteps[0] = schedule.t_max
    t, s = timesteps[:2].tolist()
    x, z = case.normal((4, 2)), case.normal((4, 2))
    steps = euler_maruyama(PLANE.denoiser(schedule), schedule, x, timesteps, noise=lambda i: z)
    found = [step.x for step in steps]
    if schedule.log_snr(t) < -2.0 * math.log(1000.0):  # x_s does not depend on x_t
        a, ratio = (
            float(schedule.alpha(s)),
            float(np.exp(schedule.log_snr(t) - schedule.log_snr(s))),
        )
        deviation = float(schedule.sigma(s)) * math.sqrt(1.0 - ratio)
        part = ratio and float(schedule.alpha(s) / schedule.alpha(t)) * ratio
        first = part * x + a * (1.0 - ratio) * PLANE.denoised(schedule, x, t) + deviation * z
    else:
        g2 = float(schedule.diffusion(t))
        drift = float(schedule.drift(t)) * x - g2 * PLANE.score(schedule, x, t)
        first = x + (s - t) * drift + math.sqrt(g2 * (t - s)) * z
    return max(relative(found[0], first), relative(found[1], PLANE.denoised(schedule, found[0], s)))


@check("euler-maruyama-step", method="mean and variance, steps doubled", tolerance=0.15, cases=1)
def weak_order_of_euler_maruyama(case: Case) -> float:
    """Mean and variance converge with order 1."""
    return weak_order_error(case, "euler-maruyama", 1.0)
