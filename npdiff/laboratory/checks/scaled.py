"""Checks of the samplers that work in sigma / alpha, against loops in the symbols of their papers.

The denoiser is made up: nothing in it is linear, and nothing of it is known to the samplers. The
loops know nothing of schedules: they step through sigma with alpha = 1.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import SAMPLERS
from npdiff.samplers.ancestral import ancestral_split
from npdiff.samplers.scaled import advance, noise_ratio, time_at_noise_ratio
from npdiff.schedules import EDM, SCHEDULES, Schedule

#: z and the noise levels from the first on, the draws from the first on, the number of steps.
Book = Callable[[np.ndarray, list[float], np.ndarray, int], Iterator[np.ndarray]]


def guess(y: np.ndarray, angle: float) -> np.ndarray:
    """A made-up estimate of the data, of the state at unit size and its angle."""
    return 0.4 * np.tanh(1.3 * y + 0.2) + 0.15 * y + 0.3 - 0.2 * math.sin(2.0 * angle)


def slope_of(z: np.ndarray, u: float) -> np.ndarray:
    """The made-up estimate of the noise at sigma = u, alpha = 1."""
    return (z - guess(z / math.hypot(1.0, u), math.atan(u))) / u


def problem(case: Case) -> tuple[Schedule, np.ndarray]:
    """Each of the schedules in its turn, and seven steps that end at the data or before."""
    schedule = SCHEDULES[case.choose(list(SCHEDULES))]()
    last = 0.3 * (case.index // len(SCHEDULES) % 2)
    return schedule, schedule.t_max * np.linspace(1.0, last, 8) ** 1.5


def against_the_book(case: Case, name: str, book: Book, **options: Any) -> float:
    """All states of a sampler against a loop."""
    schedule, timesteps = problem(case)
    steps = len(timesteps) - 1
    x, draws = case.rng.normal(size=(3, 2)), case.rng.normal(size=(steps, 3, 2))
    x *= float(schedule.sigma(timesteps[0]))

    def denoise(x: Array, t: float) -> tuple[Array, Array]:
        host, a, s = to_host(x), float(schedule.alpha(t)), float(schedule.sigma(t))
        x_0 = guess(host / math.hypot(a, s), math.atan2(s, a))
        return case.array(x_0), case.array((host - a * x_0) / s)

    run = SAMPLERS[name](
        denoise, schedule, case.array(x), timesteps, noise=lambda i: case.array(draws[i]), **options
    )
    found = [to_host(step.x) for step in run]
    a, s = schedule.alpha(timesteps), schedule.sigma(timesteps)
    with np.errstate(divide="ignore"):
        us = (s / a).tolist()
    expected, begun = [], 0
    while us[begun] > 1000.0:  # noise alone: the step that keeps both estimates
        x_0 = guess(x / math.hypot(a[begun], s[begun]), math.atan2(s[begun], a[begun]))
        down, up = (us[begun + 1], 0.0)
        if options.get("eta"):
            left = us[begun + 1] / us[begun]
            up = options["eta"] * down * math.sqrt(1.0 - left**2)
            down = math.sqrt(down**2 - up**2)
        z = x_0 + down * (x - a[begun] * x_0) / s[begun] + up * draws[begun]
        begun += 1
        x = a[begun] * z
        expected.append(x)
    states = book(x / a[begun], us[begun:], draws[begun:], steps)
    expected += [a[i] * z for i, z in enumerate(states, begun + 1)]
    return max(relative(f, e) for f, e in zip(found, expected, strict=True))


@check("flow-in-sigma", route="central differences of the exact flow", tolerance=1e-8, cases=17)
def slope_of_the_exact_flow(case: Case) -> float:
    """The slope of x / alpha over sigma / alpha along the flow of normal data is eps_hat."""
    schedule = SCHEDULES[case.choose(list(SCHEDULES))]()
    data = Gaussian([0.6, -0.3], np.array([[0.5, 0.2], [0.2, 0.3]]))
    high = float(schedule.log_snr(schedule.t_min))
    t = float(schedule.time_at(min(high - 1.0, case.rng.uniform(-2.0, 3.0))))
    x, u = case.normal((5, 2)), float(np.exp(-0.5 * schedule.log_snr(t)))
    ends = []
    for part in (-2, -1, 1, 2):
        there = time_at_noise_ratio(schedule, u * (1.0 + 1e-3 * part))
        ends.append(to_host(data.flow(schedule, x, t, there)) / float(schedule.alpha(there)))
    slope = (8.0 * (ends[2] - ends[1]) - (ends[3] - ends[0])) / (12e-3 * u)
    x_0, eps = data.denoiser(schedule)(x, t)
    z = to_host(x) / float(schedule.alpha(t))
    mean = case.normal((5, 2))
    there = advance(x_0, eps, u, 0.4 * u, mean)
    return max(
        relative(eps, slope),
        relative(x_0, z - u * to_host(eps)),
        relative(advance(x_0, eps, u, 0.4 * u), z - 0.6 * u * to_host(eps)),
        relative(there, z - 0.6 * u * to_host(mean)),
        relative(noise_ratio(schedule, t), u),
    )


@check("edm-churn", "edm-step", route="a loop in the paper's symbols", tolerance=1e-10, cases=34)
def edm_by_the_book(case: Case) -> float:
    """Algorithm 2, with churn below and above its bound and in a part of the noise levels."""
    churn, low, high = case.choose([(0.0, 0.0, math.inf), (1.4, 0.05, 40.0), (9.0, 0.5, math.inf)])
    options = {"s_churn": churn, "s_min": low, "s_max": high, "s_noise": 1.07}
    schedule = SCHEDULES[case.choose(list(SCHEDULES))]()
    with np.errstate(divide="ignore"):
        highest = float(np.divide(schedule.sigma(schedule.t_max), schedule.alpha(schedule.t_max)))

    def book(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        for (u, down), draw in zip(pairwise(us), draws, strict=True):
            gamma = min(churn / n, math.sqrt(2.0) - 1.0) if low <= u <= high else 0.0
            u_hat = min(u + gamma * u, highest)
            z_hat = z + math.sqrt(u_hat**2 - u**2) * 1.07 * draw
            d = slope_of(z_hat, u_hat)
            z = z_hat + (down - u_hat) * d
            if down > 0.0:
                z = z_hat + (down - u_hat) * (d + slope_of(z, down)) / 2.0
            yield z

    return against_the_book(case, "edm", book, **options)


def moment_weights(nodes: np.ndarray, end: float) -> np.ndarray:
    """Weights that integrate every power up to the number of nodes from the first to ``end``."""
    h = end - nodes[0]
    v, powers = (nodes - nodes[0]) / h, np.arange(len(nodes))
    return h * np.linalg.solve(v[None, :] ** powers[:, None], 1.0 / (powers + 1.0))


@check("lms-step", route="moment equations of the weights", tolerance=1e-10, cases=34)
def lms_by_moments(case: Case) -> float:
    """Every step with weights that are exact for powers of sigma, one for each node there is."""
    order = case.choose([4, 1, 2, 3, 5])

    def book(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        slopes: list[np.ndarray] = []
        for i, (u, down) in enumerate(pairwise(us)):
            slopes.append(slope_of(z, u))
            k = 1 if down == 0.0 else min(order, i + 1)
            weights = moment_weights(np.array(us[i::-1][:k]), down)
            z = z + sum(w * e for w, e in zip(weights, slopes[::-1], strict=False))
            yield z

    return against_the_book(case, "lms", book, order=order)


@check("plms-step", route="moment equations of the weights", tolerance=1e-10, cases=34)
def plms_by_moments(case: Case) -> float:
    """Every step with weights that are exact for powers on even nodes, up to four of them."""

    def book(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        slopes: list[np.ndarray] = []
        for u, down in pairwise(us):
            e = slope_of(z, u)
            slopes.append(e)
            h, k = down - u, min(len(slopes), 4)
            if down > 0.0 and k == 1:
                e = (e + slope_of(z + h * e, down)) / 2.0
            elif down > 0.0:
                weights = moment_weights(-np.arange(k), 1.0)
                e = sum((w * s for w, s in zip(weights, slopes[::-1], strict=False)), 0.0 * e)
            z = z + h * e
            yield z

    return against_the_book(case, "plms", book)


@check("pseudo-runge-kutta", route="a loop in the paper's symbols", tolerance=1e-9, cases=34)
def pndm_by_the_book(case: Case) -> float:
    """Three Runge-Kutta steps through the middle of their times, then even weights by moments."""
    schedule, timesteps = problem(case)
    with np.errstate(divide="ignore"):
        us = (schedule.sigma(timesteps) / schedule.alpha(timesteps)).tolist()
    halves = 0.5 * (timesteps[1:] + timesteps[:-1])
    middles = dict(
        zip(us, (schedule.sigma(halves) / schedule.alpha(halves)).tolist(), strict=False)
    )

    def book(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        slopes: list[np.ndarray] = []
        for u, down in pairwise(us):
            e, h = slope_of(z, u), down - u
            slopes.append(e)
            if down > 0.0 and len(slopes) < 4:
                e_2 = slope_of(z + (middles[u] - u) * e, middles[u])
                e_3 = slope_of(z + (middles[u] - u) * e_2, middles[u])
                e = (e + 2.0 * e_2 + 2.0 * e_3 + slope_of(z + h * e_3, down)) / 6.0
            elif down > 0.0:
                weights = moment_weights(-np.arange(4), 1.0)
                e = sum((w * s for w, s in zip(weights, slopes[::-1], strict=False)), 0.0 * e)
            z = z + h * e
            yield z

    return against_the_book(case, "pndm", book)


@check("pseudo-runge-kutta", route="exponential series and cubic polynomials", tolerance=1e-12)
def runge_kutta_on_what_it_solves(case: Case) -> float:
    """A step on eps = k z is the exponential series to h^4, one on a cubic of sigma is exact."""
    schedule, k = EDM(), case.rng.uniform(0.2, 0.6)
    c, p = case.rng.normal(size=4), np.arange(4)
    timesteps, z = np.array([3.0, 2.2, 1.4, 0.6]), case.rng.normal(size=(3, 2))

    def linear(x: Array, t: float) -> tuple[Array, Array]:
        return x - t * (k * x), k * x

    def cubic(x: Array, t: float) -> tuple[Array, Array]:
        eps = x * 0.0 + float(c @ t**p)
        return x - t * eps, eps

    worst = 0.0
    for name, options in (("pndm", {}), ("lms", {"order": 4, "start": "runge-kutta"})):
        factors = [
            sum((k * h) ** j / math.factorial(j) for j in range(5)) for h in np.diff(timesteps)
        ]
        run = SAMPLERS[name]
        found = [
            to_host(step.x) for step in run(linear, schedule, case.array(z), timesteps, **options)
        ]
        worst = max(worst, relative(found, [z * f for f in np.cumprod(factors)]))
        found = [
            to_host(step.x) for step in run(cubic, schedule, case.array(z), timesteps, **options)
        ]
        integral = [c @ ((s ** (p + 1) - 3.0 ** (p + 1)) / (p + 1)) for s in timesteps[1:]]
        worst = max(worst, relative(found, [z + i for i in integral]))
    return worst


@check("ancestral-split", route="sum of precisions", tolerance=1e-10)
def split_by_precisions(case: Case) -> float:
    """At eta = 1 the way up has the variance of z_s given z and x_0; eta scales its deviation."""
    u = case.rng.uniform(1.0, 9.0)
    u_s = case.rng.uniform(0.1, 0.9) * u
    eta = case.rng.uniform(0.1, 0.9)
    variance = 1.0 / (1.0 / u_s**2 + 1.0 / (u**2 - u_s**2))
    (down, up), (down_less, up_less) = ancestral_split(u, u_s, 1.0), ancestral_split(u, u_s, eta)
    return max(
        relative(up**2, variance),
        relative(up_less**2, eta**2 * variance),
        relative(down**2 + up**2, u_s**2),
        relative(down_less**2 + up_less**2, u_s**2),
    )


def ways(u: float, u_s: float, eta: float) -> tuple[float, float]:
    """Down and up as k-diffusion has them."""
    up = min(u_s, eta * math.sqrt(u_s**2 * (u**2 - u_s**2) / u**2))
    return math.sqrt(max(u_s**2 - up**2, 0.0)), up


@check("euler-ancestral-step", route="a loop in k-diffusion's symbols", tolerance=1e-9, cases=34)
def euler_ancestral_by_the_book(case: Case) -> float:
    """Euler's step down, noise up, with each of several eta."""
    eta = case.choose([1.0, 0.6, 0.0])

    def book(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        for (u, end), draw in zip(pairwise(us), draws, strict=True):
            down, up = ways(u, end, eta)
            z = z + slope_of(z, u) * (down - u) + up * draw
            yield z

    return against_the_book(case, "euler-ancestral", book, eta=eta)


@check("dpm2-ancestral-step", route="a loop in k-diffusion's symbols", tolerance=1e-9, cases=34)
def dpm2_ancestral_by_the_book(case: Case) -> float:
    """The midpoint step down, noise up, with each of several eta."""
    eta = case.choose([1.0, 0.6, 0.0])

    def book(z: np.ndarray, us: list[float], draws: np.ndarray, n: int) -> Iterator[np.ndarray]:
        for (u, end), draw in zip(pairwise(us), draws, strict=True):
            down, up = ways(u, end, eta)
            d = slope_of(z, u)
            if down > 0.0:
                middle = math.exp(0.5 * (math.log(u) + math.log(down)))
                d = slope_of(z + d * (middle - u), middle)
            z = z + d * (down - u) + up * draw
            yield z

    return against_the_book(case, "dpm2-ancestral", book, eta=eta)
