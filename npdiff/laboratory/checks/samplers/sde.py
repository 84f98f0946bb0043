"""TODO Checks of the samplers in time: the ODE's solvers, DDIM both ways, the reverse SDE, Langevin. | Checks of the weak order of the stochastic samplers, without a random number.

With the exact denoiser of N(m, c) every step is affine in the state and in its noise. The mean of
what a sampler ends with is its answer to no noise, and the variance is the sum of the squares of
its answers to one unit of each noise. Both are compared with those of q at the same time."""

import math

import numpy as np

from npdiff.exact import Gaussian
from npdiff.laboratory.checks.samplers._gaussian import PLANE, a_schedule, derivative, inside
from npdiff.laboratory.checks.samplers._weak_order import off
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import euler_maruyama
from npdiff.samplers.sde import reverse_drift


@check("reverse-sde", method="moment equations against the marginals", tolerance=1e-6, cases=34)
def reverse_sde_has_the_marginals(case: Case) -> float:
    """Mean and variance under the drift b x + c and the noise g change as those of q(x_t) do."""
    schedule, (m, v) = a_schedule(case), (0.7, 0.4)
    t = inside(case, schedule)
    denoise, x = Gaussian([m], v).denoiser(schedule), np.array([[0.0], [1.0]])
    c, at_one = reverse_drift(schedule, x, denoise(x, t)[1], t)[:, 0]
    b = at_one - c
    h = 0.1 if schedule.steps else 1e-3 * min(t, schedule.t_max - t)
    mean, spread = schedule.alpha(t) * m, schedule.alpha(t) ** 2 * v + schedule.sigma(t) ** 2
    mean_dot = derivative(lambda s: schedule.alpha(s) * m, t, h)
    spread_dot = derivative(lambda s: schedule.alpha(s) ** 2 * v + schedule.sigma(s) ** 2, t, h)
    g2 = schedule.diffusion(t)
    scale = abs(b) * spread + g2
    return max(
        float(abs(b * mean + c - mean_dot) / (abs(b * mean) + abs(c))),
        float(abs(2.0 * b * spread - g2 - spread_dot) / scale),
    )


@check("euler-maruyama-step", method="one step by hand, from the score", tolerance=1e-10, cases=34)
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
    if schedule.log_snr(t) < -2.0 * math.log(1000.0):  # nothing of x_t is left in x_s
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
    return off(case, "euler-maruyama", 1.0)
