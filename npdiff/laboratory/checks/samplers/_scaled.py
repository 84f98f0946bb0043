"""Comparison of the samplers that work in sigma / alpha with loops in the symbols of their papers.

The denoiser is an arbitrary nonlinear function. The loops do not use schedules: they step through
sigma with alpha = 1.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.laboratory.registry import Case, relative
from npdiff.samplers import SAMPLERS
from npdiff.schedules import SCHEDULES, Schedule

#: A loop: from z, the noise levels, the draws and the number of steps to the states.
Loop = Callable[[np.ndarray, list[float], np.ndarray, int], Iterator[np.ndarray]]


def arbitrary_x0(y: np.ndarray, angle: float) -> np.ndarray:
    """An arbitrary estimate of the data from the state at unit size and its angle."""
    return 0.4 * np.tanh(1.3 * y + 0.2) + 0.15 * y + 0.3 - 0.2 * math.sin(2.0 * angle)


def arbitrary_eps(z: np.ndarray, u: float) -> np.ndarray:
    """The corresponding estimate of the noise at sigma = u, alpha = 1."""
    return (z - arbitrary_x0(z / math.hypot(1.0, u), math.atan(u))) / u


def problem(case: Case) -> tuple[Schedule, np.ndarray]:
    """The schedule of this case, and seven steps that end at the data or before."""
    schedule = SCHEDULES[case.choose(list(SCHEDULES))]()
    last = 0.3 * (case.index // len(SCHEDULES) % 2)
    return schedule, schedule.t_max * np.linspace(1.0, last, 8) ** 1.5


def error_against_loop(case: Case, name: str, loop: Loop, **options: Any) -> float:
    """The largest relative deviation of a sampler's states from those of a loop."""
    schedule, timesteps = problem(case)
    steps = len(timesteps) - 1
    x, draws = case.rng.normal(size=(3, 2)), case.rng.normal(size=(steps, 3, 2))
    x *= float(schedule.sigma(timesteps[0]))

    def denoise(x: Array, t: float) -> tuple[Array, Array]:
        host, a, s = to_host(x), float(schedule.alpha(t)), float(schedule.sigma(t))
        x_0 = arbitrary_x0(host / math.hypot(a, s), math.atan2(s, a))
        return case.array(x_0), case.array((host - a * x_0) / s)

    run = SAMPLERS[name](
        denoise, schedule, case.array(x), timesteps, noise=lambda i: case.array(draws[i]), **options
    )
    found = [to_host(step.x) for step in run]
    a, s = schedule.alpha(timesteps), schedule.sigma(timesteps)
    with np.errstate(divide="ignore"):
        us = (s / a).tolist()
    expected, start = [], 0
    while us[start] > 1000.0:  # noise alone: the step that uses both estimates
        x_0 = arbitrary_x0(x / math.hypot(a[start], s[start]), math.atan2(s[start], a[start]))
        down, up = (us[start + 1], 0.0)
        if options.get("eta"):
            left = us[start + 1] / us[start]
            up = options["eta"] * down * math.sqrt(1.0 - left**2)
            down = math.sqrt(down**2 - up**2)
        z = x_0 + down * (x - a[start] * x_0) / s[start] + up * draws[start]
        start += 1
        x = a[start] * z
        expected.append(x)
    states = loop(x / a[start], us[start:], draws[start:], steps)
    expected += [a[i] * z for i, z in enumerate(states, start + 1)]
    return max(relative(f, e) for f, e in zip(found, expected, strict=True))


def moment_weights(nodes: np.ndarray, end: float) -> np.ndarray:
    """Weights that integrate as many powers as there are nodes, from the first to ``end``."""
    h = end - nodes[0]
    v, powers = (nodes - nodes[0]) / h, np.arange(len(nodes))
    return h * np.linalg.solve(v[None, :] ** powers[:, None], 1.0 / (powers + 1.0))
