"""Checks of inpainting on Gaussian data."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.editing import denoising_steps, renoise, repaint, replace_known, resampling_path
from npdiff.laboratory.checks._schedules import a_schedule
from npdiff.laboratory.checks._schedules import timesteps as some_timesteps
from npdiff.laboratory.checks.editing._normal_data import DATA, C, M, Result, last, result_of
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import EDM, SCHEDULES, LinearVP, Schedule, Times
from npdiff.spacings import SPACINGS


@check("replacement", "renoising", method="counting draws", tolerance=0.0, cases=3)
def draws_of_each_step(case: Case) -> float:
    """The first draw of step i has index 64 i; the draws of its sampler follow consecutively."""
    schedule, drawn = LinearVP(), []
    x, timesteps = case.array(np.zeros((1, 2))), np.array([0.9, 0.5, 0.2, 0.0])
    corrections = case.choose([1, 2, 0])

    def noise(i: int) -> Array:
        drawn.append(i)
        return x

    steps = repaint(
        lambda x, t: (0.5 * x, x), schedule, x, timesteps, known=x, mask=np.array([True, False]),
        noise=noise, resamplings=1, sampler="predictor-corrector", corrections=corrections,
    )  # fmt: skip
    count = len(list(steps))
    expected_draws = [[64 * i, *(64 * i + 1 + k for k in range(1 + corrections))] for i in (1, 2)]
    return float(count != 3 or sorted(drawn) != [0, *expected_draws[0], *expected_draws[1], 192])


def inpainted(
    case: Case,
    schedule: Schedule,
    timesteps: np.ndarray,
    y: np.ndarray,
    mask: np.ndarray,
    **how: Any,
) -> Result:
    """The distribution of the result of ``repaint`` from pure noise."""

    def edit(x: Array, noise: Callable[[int], Array]) -> Array:
        known = case.array(np.tile(y, (x.shape[0], 1)))
        denoise = DATA.denoiser(schedule)
        return last(
            repaint(denoise, schedule, x, timesteps, known=known, mask=mask, noise=noise, **how)
        )

    return result_of(edit, case, np.zeros(3), float(schedule.sigma(timesteps[0])))


@check(
    "replacement",
    "renoising",
    method="moments of each step by linear algebra",
    tolerance=1e-10,
    cases=6,
)
def inpainting_by_moments(case: Case) -> float:
    """Mean and covariance of RePaint's result, and its draws, with DDPM's and DDIM's steps."""
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
    method="the conditional distribution of Gaussian data",
    tolerance=1e-2,
    cases=2,
)
def inpainting_tends_to_the_conditional(case: Case) -> float:
    """The mean of RePaint's result: its error halves with twice the resamplings."""
    schedule = case.choose([LinearVP(), EDM()])
    mask = np.array([True, False, False])
    y = np.array([case.rng.uniform(-1.0, 2.0), 0.0, 0.0])
    timesteps = SPACINGS["log-snr"](schedule, 12)
    once, twice = (
        inpainted(case, schedule, timesteps, y, mask, jump=1, resamplings=r).mean[1:]
        for r in (8, 16)
    )
    # the textbook's conditional mean minus the mean
    moved = C[1:, 0] / C[0, 0] * (y[0] - M[0])
    return relative(2.0 * twice - once - M[1:], moved)


@check(
    "renoising", method="the Chapman-Kolmogorov equation", tolerance=1e-11, cases=2 * len(SCHEDULES)
)
def renoising_by_semigroup(case: Case) -> float:
    """A state at s with noise added to t has the signal and noise of the forward process at t."""
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


@check("replacement", method="element by element", tolerance=1e-14)
def replacement_by_a_loop(case: Case) -> float:
    """A loop over the elements of two images with one shared mask."""
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


@check("resampling-cost", method="counting visits", tolerance=0.0, cases=24)
def evaluations_by_counting(case: Case) -> float:
    """The number of denoiser evaluations; each timestep is visited as often as requested."""
    steps, jump, resamplings = (int(case.rng.integers(1, high)) for high in (13, 6, 5))
    how: dict[str, Any] = {"jump": jump, "resamplings": resamplings}
    if case.index == 0:  # RePaint's settings
        steps, jump, resamplings, how = 25, 10, 10, {}
    schedule, calls = LinearVP(), []

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        calls.append(t)
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
        abs(len(calls) - denoising_steps(steps, **how))
        + sum(abs(arrivals.count(place) - resamplings) for place in turns)
        + sum(move not in (-1, jump) for move in moves)
        + abs(places[0] - steps)
        + abs(places[-1])
    )
