"""Checks of inpainting: on Gaussian data every edit is an affine map, and its law is known."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.editing import (
    denoising_steps,
    renoise,
    repaint,
    replace_known,
    resampling_path,
)
from npdiff.exact import Gaussian
from npdiff.laboratory.checks.process import a_schedule
from npdiff.laboratory.checks.process import timesteps as some_timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import EDM, SCHEDULES, LinearVP, Schedule, Times
from npdiff.spacings import SPACINGS

M = np.array([0.7, -0.4, 0.3])
ROOT = np.array([[0.8, 0.0, 0.0], [0.5, 0.4, 0.0], [-0.3, 0.35, 0.5]])
C = ROOT @ ROOT.T
DATA = Gaussian(M, C)

#: A place for noise to come from, to the edit's last state.
Edit = Callable[[Array, Callable[[int], Array]], Array]


class Law(NamedTuple):
    """Mean and covariance of what an edit leads to, and the numbers of the draws it made."""

    mean: np.ndarray
    covariance: np.ndarray
    draws: set[int]


def law_of(edit: Edit, case: Case, start: np.ndarray, scale: float) -> Law:
    """The law of what an affine edit of D numbers leads to, exactly.

    It runs once for all columns of its matrix: a row where everything random is 0, and one for
    each number of the start, of deviation ``scale``, and of each draw.
    """
    used: dict[int, int] = {}
    D = start.size

    def count(i: int) -> Array:
        used.setdefault(i, len(used))
        return case.array(np.zeros((1, D)))

    edit(case.array(start[None]), count)
    rows = 1 + D * (1 + len(used))

    def unit(i: int) -> Array:
        z, first = np.zeros((rows, D)), 1 + D * (1 + used[i])
        z[first : first + D] = np.eye(D)
        return case.array(z)

    x = np.tile(start, (rows, 1))
    x[1 : 1 + D] += scale * np.eye(D)
    end = to_host(edit(case.array(x), unit))
    columns = end[1:] - end[0]
    return Law(end[0], columns.T @ columns, set(used))


def last(steps: Iterator[Any]) -> Array:
    return list(steps)[-1].x


def inpainted(
    case: Case,
    schedule: Schedule,
    timesteps: np.ndarray,
    y: np.ndarray,
    mask: np.ndarray,
    **how: Any,
) -> Law:
    """The law of ``repaint`` from pure noise."""

    def edit(x: Array, noise: Callable[[int], Array]) -> Array:
        known = case.array(np.tile(y, (x.shape[0], 1)))
        denoise = DATA.denoiser(schedule)
        return last(
            repaint(denoise, schedule, x, timesteps, known=known, mask=mask, noise=noise, **how)
        )

    return law_of(edit, case, np.zeros(3), float(schedule.sigma(timesteps[0])))


@check(
    "replacement",
    "renoising",
    route="moments of the walk by linear algebra",
    tolerance=1e-10,
    cases=6,
)
def inpainting_by_moments(case: Case) -> float:
    """Mean and covariance of what RePaint leads to, and its draws, with DDPM's and DDIM's steps."""
    schedule = SCHEDULES[case.choose(["vp", "edm", "cosine", "rectified-flow", "sub-vp"])]()
    timesteps = np.append(np.sort(some_timesteps(case, schedule, 5))[::-1], 0.0)
    eta, sampler = case.choose([(1.0, "ddpm"), (0.0, "ddim"), (0.6, "ddim")])
    how: dict[str, Any] = {"sampler": sampler} | ({"eta": eta} if sampler == "ddim" else {})
    jump, resamplings = case.choose([(1, 3), (2, 2), (1, 1), (3, 4)])
    y, mask = np.array([1.6, 9.0, 0.1]), np.array([True, False, case.index % 2 == 0])
    found = inpainted(case, schedule, timesteps, y, mask, jump=jump, resamplings=resamplings, **how)

    def scales(t: float) -> tuple[float, float]:
        return float(schedule.alpha(t)), float(schedule.sigma(t))

    keep, put = np.diag(1.0 - mask), np.diag(1.0 * mask)
    mean, cov = np.zeros(3), scales(timesteps[0])[1] ** 2 * np.eye(3)

    def with_known(t: float) -> tuple[np.ndarray, np.ndarray]:
        a, sd = scales(t)
        return keep @ mean + a * put @ y, keep @ cov @ keep + sd**2 * put

    mean, cov = with_known(timesteps[0])
    draws = {0}
    for move, (here, there) in enumerate(pairwise(resampling_path(5, jump, resamplings)), start=1):
        draws |= {64 * move, 64 * move + 1} if eta and 0 < there < here else {64 * move}
        t, s = timesteps[-1 - here], timesteps[-1 - there]
        (a_t, sd_t), (a_s, sd_s) = scales(t), scales(s)
        if there > here:
            ratio = a_s / a_t
            mean = ratio * mean
            cov = ratio**2 * cov + (sd_s**2 - ratio**2 * sd_t**2) * np.eye(3)
            continue
        K = a_t * C @ np.linalg.inv(a_t**2 * C + sd_t**2 * np.eye(3))  # x_0 = m + K (x - a m)
        ratio = a_t / a_s
        fresh = eta**2 * (sd_t**2 - ratio**2 * sd_s**2) * sd_s**2 / sd_t**2
        slope = np.sqrt(sd_s**2 - fresh) / sd_t  # of x; a_t less of it for x_0
        A = slope * np.eye(3) + (a_s - slope * a_t) * K
        mean = A @ mean + (a_s - slope * a_t) * (M - a_t * K @ M)
        cov = A @ cov @ A.T + fresh * np.eye(3)
        mean, cov = with_known(s)
    others = float(found.draws != draws)
    return max(others, relative(found.mean, mean), relative(found.covariance, cov))


@check(
    "replacement",
    "renoising",
    route="the conditional law of Gaussian data",
    tolerance=1e-2,
    cases=2,
)
def inpainting_tends_to_the_conditional(case: Case) -> float:
    """The mean that RePaint leads to: what it lacks halves with twice the resamplings."""
    schedule = case.choose([LinearVP(), EDM()])
    mask = np.array([True, False, False])
    y = np.array([case.rng.uniform(-1.0, 2.0), 0.0, 0.0])
    timesteps = SPACINGS["log-snr"](schedule, 12)
    once, twice = (
        inpainted(case, schedule, timesteps, y, mask, jump=1, resamplings=r).mean[1:]
        for r in (8, 16)
    )
    # by how much the textbook's conditional mean is away from the mean
    moved = C[1:, 0] / C[0, 0] * (y[0] - M[0])
    return relative(2.0 * twice - once - M[1:], moved)


@check(
    "renoising", route="Chapman-Kolmogorov's equation", tolerance=1e-11, cases=2 * len(SCHEDULES)
)
def renoising_by_semigroup(case: Case) -> float:
    """Signal and noise of a state at s, made noisier, are those of the forward process at t."""
    schedule = a_schedule(case)
    s, t = (float(u) for u in some_timesteps(case, schedule, 2))
    one, zero = case.array([[1.0]]), case.array([[0.0]])
    signal, noise, fresh = (
        float(to_host(renoise(schedule, case.array([[x]]), s, t, z))[0, 0])
        for x, z in (
            (float(schedule.alpha(s)), zero),
            (float(schedule.sigma(s)), zero),
            (0.0, one),
        )
    )
    return max(
        relative(signal, float(schedule.alpha(t))),
        relative(noise**2 + fresh * abs(fresh), float(schedule.sigma(t)) ** 2),
    )


@check("replacement", route="number by number", tolerance=1e-14)
def replacement_by_a_loop(case: Case) -> float:
    """A plain loop over the numbers of two images, the mask one for both."""
    schedule = a_schedule(case)
    t = float(some_timesteps(case, schedule, 1)[0])
    x, known, z = (case.normal((2, 2, 3, 1)) for _ in range(3))
    mask = case.rng.uniform(size=(2, 3, 1)) < 0.5
    found = replace_known(schedule, x, known, case.array(mask), t, z)
    expected = np.array(to_host(x))
    for i in np.ndindex(expected.shape):
        if mask[i[1:]]:
            signal = float(schedule.alpha(t)) * float(to_host(known)[i])
            expected[i] = signal + float(schedule.sigma(t)) * float(to_host(z)[i])
    return relative(found, expected)


@check("resampling-cost", route="a walk is counted", tolerance=0.0, cases=24)
def cost_by_counting(case: Case) -> float:
    """How often the denoiser is asked; a walk visits each place as often as was said."""
    steps, jump, resamplings = (int(case.rng.integers(1, high)) for high in (13, 6, 5))
    how: dict[str, Any] = {"jump": jump, "resamplings": resamplings}
    if case.index == 0:  # RePaint's own numbers
        steps, jump, resamplings, how = 25, 10, 10, {}
    schedule, asked = LinearVP(), []

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        asked.append(t)
        return x, x

    timesteps = np.linspace(0.9, 0.0, steps + 1)
    x = case.array(np.zeros((1, 1)))
    image: dict[str, Any] = {"known": x, "mask": np.array([False]), "noise": lambda i: x}
    last(repaint(denoise, schedule, x, timesteps, **image, **how))
    places = resampling_path(steps, **how)
    moves = [b - a for a, b in pairwise(places)]
    arrivals = [b for a, b in pairwise(places) if b < a]
    turns = [1 + jump * k for k in range(steps) if 1 + jump * (k + 1) <= steps]
    return (
        abs(len(asked) - denoising_steps(steps, **how))
        + sum(abs(arrivals.count(place) - resamplings) for place in turns)
        + sum(move not in (-1, jump) for move in moves)
        + abs(places[0] - steps)
        + abs(places[-1])
    )
