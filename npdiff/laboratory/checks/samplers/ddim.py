"""Checks of DDIM, its step, its marginals and its inversion."""

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Gaussian, Mixture
from npdiff.laboratory.checks.samplers._gaussian import a_schedule
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import ddim, ddim_inversion
from npdiff.schedules import SCHEDULES, LinearVP, linear_betas

TWO = Mixture([0.4, 0.6], [Gaussian([-1.0], 0.04), Gaussian([0.6], 0.09)])


@check("ddim-step", method="the paper's symbols", tolerance=1e-11, cases=15)
def ddim_step_in_the_symbols_of_the_paper(case: Case) -> float:
    """One step of DDPM's schedule; eta = 1 is ancestral; the paper writes alpha for alpha-bar."""
    bars = np.cumprod(np.append(1.0, 1.0 - np.linspace(1e-4, 0.02, 1000)))
    t, s = case.choose([(1000, 900), (500, 499), (20, 10), (2, 1), (50, 0)])
    eta = case.choose([0.0, 0.3, 1.0])
    x_t, eps, z = case.rng.normal(size=(3, 4, 5))
    a_t, a_s = bars[t], bars[s]
    sigma = eta * np.sqrt((1.0 - a_s) / (1.0 - a_t)) * np.sqrt(1.0 - a_t / a_s)
    x_0 = (x_t - np.sqrt(1.0 - a_t) * eps) / np.sqrt(a_t)
    expected = np.sqrt(a_s) * x_0 + np.sqrt(1.0 - a_s - sigma**2) * eps + sigma * z
    (step,) = ddim(
        lambda x, t: (case.array(x_0), case.array(eps)), linear_betas(), case.array(x_t),
        np.array([t, s], dtype=float), eta=eta, noise=lambda i: case.array(z),
    )  # fmt: skip
    return relative(step.x, expected)


@check("ddim-step", method="the marginals of a point", tolerance=1e-12, cases=3 * len(SCHEDULES))
def ddim_keeps_the_marginals_of_a_point(case: Case) -> float:
    """For a point every eta gives mean alpha_s x_0 and variance sigma_s^2, on any schedule."""
    schedule, eta = a_schedule(case), case.choose([0.0, 0.4, 1.0])
    timesteps = np.linspace(1.0, 0.0, 8) ** 2 * schedule.t_max
    point, count = 0.7, 7
    x = np.full((count + 2, 1), float(schedule.alpha(timesteps[0])) * point)
    x[1] += float(schedule.sigma(timesteps[0]))
    denoise, worst = Gaussian([point], 0.0).denoiser(schedule), 0.0

    def impulse(i: int) -> np.ndarray:
        return case.array((np.arange(count + 2) == i + 2)[:, None] * 1.0)

    for step in ddim(denoise, schedule, case.array(x), timesteps, eta=eta, noise=impulse):
        rows = to_host(step.x)[:, 0]
        size = float(np.hypot(schedule.alpha(step.t), schedule.sigma(step.t)))
        deviation = np.sqrt(((rows[1:] - rows[0]) ** 2).sum())
        off = abs(rows[0] - schedule.alpha(step.t) * point), abs(deviation - schedule.sigma(step.t))
        worst = max(worst, float(max(off)) / size)
    return worst


@check("ddim-inversion", method="the round trip, and the exact flow", tolerance=0.1, cases=2)
def inversion_is_of_first_order(case: Case) -> float:
    """Against the flow of a mixture, and in a round trip, the error halves with twice the steps."""
    schedule, start = LinearVP(), case.choose([0.05, 0.15])
    x, denoise = case.array(np.linspace(-1.4, 1.2, 6)[:, None]), TWO.denoiser(schedule)
    truth = TWO.flow(schedule, x, start, 0.9)
    errors = []
    for steps in (200, 400):
        timesteps = np.linspace(start, 0.9, steps + 1)
        *_, there = ddim_inversion(denoise, schedule, x, timesteps)
        *_, back = ddim(denoise, schedule, there.x, timesteps[::-1])
        off = to_host(there.x) - to_host(truth), to_host(back.x) - to_host(x)
        errors.append([float(np.abs(d).max()) for d in off])
    slopes = np.log2(np.array(errors[0]) / np.array(errors[1]))
    return float(np.abs(slopes - 1.0).max())


@check(
    "ddim-inversion",
    method="the round trip to data and back",
    tolerance=1e-11,
    cases=2 * len(SCHEDULES),
)
def corrected_inversion_is_exact(case: Case) -> float:
    """With corrections DDIM returns to the data; without, the first evaluation is at (a x_0, t)."""
    schedule = a_schedule(case)
    timesteps = schedule.time_at(np.linspace(0.0, 4.0, 9)[::-1])
    if schedule.log_snr(schedule.t_min) > 4.5:
        timesteps = np.append(0.0, timesteps)
    wide = Gaussian([0.6, -0.3], np.array([[1.5, 0.6], [0.6, 0.9]]))
    x, denoise = case.normal((5, 2)), wide.denoiser(schedule)
    *_, there = ddim_inversion(denoise, schedule, x, timesteps, corrections=60)
    *_, back = ddim(denoise, schedule, there.x, timesteps[::-1])
    t = float(timesteps[2])
    (first,) = ddim_inversion(denoise, schedule, x, np.array([0.0, t]))
    a, s = float(schedule.alpha(t)), float(schedule.sigma(t))
    return max(
        relative(back.x, x), relative(first.x, a * x - s**2 * wide.score(schedule, a * x, t))
    )
