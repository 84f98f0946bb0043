"""Checks of the samplers in time: the ODE's solvers, DDIM both ways, the reverse SDE, Langevin."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Gaussian, Mixture
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import (
    adaptive_ode,
    ddim,
    ddim_inversion,
    euler,
    euler_maruyama,
    heun,
    predictor_corrector,
)
from npdiff.samplers.ode import velocity
from npdiff.samplers.sde import reverse_drift
from npdiff.schedules import SCHEDULES, LinearVP, Schedule, linear_betas

PLANE = Gaussian([0.6, -0.3], np.array([[0.5, 0.2], [0.2, 0.3]]))
TWO = Mixture([0.4, 0.6], [Gaussian([-1.0], 0.04), Gaussian([0.6], 0.09)])


def a_schedule(case: Case) -> Schedule:
    """Each of the named schedules in its turn."""
    return SCHEDULES[case.choose(list(SCHEDULES))]()


def inside(case: Case, schedule: Schedule) -> float:
    """A time well inside of a schedule; on a chain in the middle of a step, away from its kinks."""
    high = float(schedule.log_snr(schedule.t_min))
    t = float(schedule.time_at(min(high - 1.0, case.rng.uniform(-2.5, 3.0))))
    return math.ceil(t) - 0.5 if schedule.steps else t


def derivative(f: object, t: float, h: float) -> np.ndarray:
    """Of fourth order, from five points around t."""
    values = [np.asarray(f(t + k * h)) for k in (-2, -1, 1, 2)]  # type: ignore[operator]
    return (8.0 * (values[2] - values[1]) - (values[3] - values[0])) / (12.0 * h)


@check("probability-flow", route="central differences of the exact flow", tolerance=1e-7, cases=34)
def velocity_of_the_exact_flow(case: Case) -> float:
    """The velocity is the time derivative of the flow of normal data, in both of its forms."""
    schedule = a_schedule(case)
    t, x = inside(case, schedule), case.normal((5, 2))
    x = x * float(np.hypot(schedule.alpha(t), schedule.sigma(t)))
    h = 0.1 if schedule.steps else 1e-3 * min(t, schedule.t_max - t)
    moving = derivative(lambda s: to_host(PLANE.flow(schedule, x, t, s)), t, h)
    found = velocity(schedule, *PLANE.denoiser(schedule)(x, t), t)
    other = float(schedule.drift(t)) * x
    other = other - 0.5 * float(schedule.diffusion(t)) * PLANE.score(schedule, x, t)
    return max(relative(found, moving), relative(other, moving))


@check("euler-step", "heun-step", route="slopes from the score, by hand", tolerance=1e-10, cases=34)
def steps_along_the_score(case: Case) -> dict[str, float]:
    """Two steps of each with the slope f x - g^2 score / 2, and the arrival at the data."""
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


@check("ddim-step", route="the paper's own symbols", tolerance=1e-11, cases=15)
def ddim_step_in_the_symbols_of_the_paper(case: Case) -> float:
    """One step of a chain, eta = 1 being ancestral; the paper writes alpha for alpha-bar."""
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


@check("ddim-step", route="the marginals of a point", tolerance=1e-12, cases=34)
def ddim_keeps_the_marginals_of_a_point(case: Case) -> float:
    """For a point every eta has mean alpha_s x_0 and variance sigma_s^2, on any schedule."""
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


@check("ddim-inversion", route="the round trip, and the exact flow", tolerance=0.1, cases=2)
def inversion_is_of_first_order(case: Case) -> float:
    """Against the flow of a mixture, and there and back, the error halves with the steps."""
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


@check("ddim-inversion", route="the round trip to data and back", tolerance=1e-11, cases=17)
def corrected_inversion_is_exact(case: Case) -> float:
    """With corrections DDIM leads back to the data; without, the first step asks at (a x_0, t)."""
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


@check("flow-in-angle", route="the exact flow", tolerance=1e-7, cases=4)
def adaptive_solution_of_the_flow(case: Case) -> float:
    """To a tight tolerance every state reported is that of the flow, from pure noise on."""
    schedule = SCHEDULES[case.choose(["rectified-flow", "cosine", "edm", "sub-vp"])]()
    timesteps = np.linspace(1.0, 0.0, 4) ** 1.5 * schedule.t_max
    x, denoise = case.normal((3, 2)) * float(schedule.sigma(timesteps[0])), PLANE.denoiser(schedule)
    if case.index == 3:  # the last time before the data is closer to them than t_min
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


@check("reverse-sde", route="moment equations against the marginals", tolerance=1e-6, cases=34)
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


@check("euler-maruyama-step", route="one step by hand, from the score", tolerance=1e-10, cases=34)
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


@check("langevin-step", route="the stationary law of a linear recursion", tolerance=1e-10, cases=17)
def langevin_is_stationary_where_algebra_says(case: Case) -> float:
    """After many corrections: mean alpha m, variance V / (1 - r^2 sigma^2 / V), whatever before."""
    schedule, (m, c), r = a_schedule(case), (0.7, 0.4), case.choose([0.3, 0.45, 0.6])
    s = inside(case, schedule)
    t = 0.5 * (s + schedule.t_max)
    a, sigma = float(schedule.alpha(s)), float(schedule.sigma(s))
    V = a**2 * c + sigma**2
    corrections = math.ceil(14.0 * V / (r * sigma) ** 2)
    rows = corrections + 3

    def impulse(i: int) -> np.ndarray:
        return case.array((np.arange(rows) == i + 2)[:, None] * 1.0)

    x = np.full((rows, 1), 3.0)
    x[1] += 1.0
    (step,) = predictor_corrector(
        Gaussian([m], c).denoiser(schedule), schedule, case.array(x), np.array([t, s]),
        snr=r, corrections=corrections, noise=impulse,
    )  # fmt: skip
    found = to_host(step.x)[:, 0]
    variance = float(((found[1:] - found[0]) ** 2).sum())
    stationary = V / (1.0 - (r * sigma) ** 2 / V)
    return max(abs(found[0] - a * m) / math.sqrt(V), abs(variance / stationary - 1.0))


@check("langevin-step", route="loops over each draw", tolerance=1e-11, cases=17)
def predictor_and_corrector_by_the_book(case: Case) -> float:
    """Ancestral step by Bayes' precisions, corrections along the score, draws in their order."""
    schedule, r = a_schedule(case), case.rng.uniform(0.1, 0.5)
    timesteps = np.array([0.9, 0.6, 0.3, 0.0]) * schedule.t_max
    draws, x = case.rng.normal(size=(9, 4, 2)), case.normal((4, 2))
    found = predictor_corrector(
        PLANE.denoiser(schedule), schedule, x, timesteps,
        snr=r, corrections=2, noise=lambda i: case.array(draws[i]),
    )  # fmt: skip
    worst = 0.0
    for i, step in enumerate(found):
        t, s = timesteps[i], timesteps[i + 1]
        x_0 = PLANE.denoised(schedule, x, t)
        a, v = float(schedule.alpha(s)), float(schedule.sigma(s)) ** 2
        if s == 0.0:
            x = x_0
        else:
            kept = float(schedule.alpha(t) / schedule.alpha(s))
            added = float(schedule.sigma(t)) ** 2 - kept**2 * v
            variance = 1.0 / (1.0 / v + kept**2 / added)
            x = variance * (a * x_0 / v + kept * x / added)
            x = x + math.sqrt(variance) * case.array(draws[3 * i])
            for j in (1, 2):
                size = 2.0 * r**2 * v
                noise = math.sqrt(2.0 * size) * case.array(draws[3 * i + j])
                x = x + size * PLANE.score(schedule, x, s) + noise
        worst = max(worst, relative(step.x, x))
    return worst
