"""Checks of the parts of a likelihood: Jacobians of denoisers, their probes, the noise."""

import math
import zlib
from statistics import NormalDist

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.checks.process import a_schedule, timesteps
from npdiff.laboratory.checks.random import words_of
from npdiff.laboratory.registry import Case, check, relative
from npdiff.likelihood import (
    flow_log_density,
    linearize_by_differences,
    linearize_by_jacobian,
)
from npdiff.likelihood._trace import random_probes, trace
from npdiff.likelihood.ode import log_prior
from npdiff.random import Key
from npdiff.schedules import EDM, LinearVP, RectifiedFlow, Schedule, Times


@check("hutchinson-trace", route="powers: exact to degree 4, then known", tolerance=1e-9, cases=6)
def jacobian_of_powers(case: Case) -> float:
    """Differences of a map of powers: no error to degree 4; for degree 5 it is -4 h^4 v^5."""
    schedule, power = a_schedule(case), case.choose([3, 4, 5])
    t = float(timesteps(case, schedule, 1)[0])
    mix = case.rng.standard_normal((3, 3))
    scale = float(schedule.sigma(t))
    x, v = scale * case.rng.uniform(1.0, 2.0, (2, 3)), case.rng.standard_normal((2, 3))

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        return (x / scale) ** power @ case.array(mix), x

    x_0, forward = linearize_by_differences(denoise, schedule)(case.array(x), t)
    u, w = x / scale, v / scale
    expected = power * u ** (power - 1) * w
    if power == 5:
        h = 0.01 * scale  # the step, in units of sigma_t, if nothing is said
        expected = expected - 4.0 * h**4 * w**5
    wide = linearize_by_differences(denoise, schedule, 0.02)(case.array(x), t)[1]
    twice = expected - (60.0 * h**4 * w**5 if power == 5 else 0.0)
    return max(
        relative(x_0, u**power @ mix),
        relative(forward(case.array(v)), expected @ mix),
        relative(wide(case.array(v)), twice @ mix),
    )


@check("hutchinson-trace", route="Philox in whole numbers; the trace itself", tolerance=1e-12)
def probes_from_their_words(case: Case) -> float:
    """The sign of a probe is the lowest bit of its word; normal ones are the key's own numbers."""
    key, x = Key(case.index + 3, (1, 5), 2, "trace"), case.array(np.zeros((2, 3, 2)))
    streams = [zlib.crc32(f"trace/probe/{k}".encode()) for k in range(2)]
    signs = [
        [
            [
                1.0 - 2.0 * (word % 2)
                for block in range(2)
                for word in words_of((block, sample, 2, stream), (case.index + 3, 0))
            ][:6]
            for sample in (1, 5)
        ]
        for stream in streams
    ]
    found = [to_host(v).reshape(2, 6) for v in random_probes(key, x, 2)]
    (only,) = random_probes(key, x)  # one, if nothing is said
    one = to_host(only).reshape(2, 6)
    normal = [to_host(v) for v in random_probes(key, x, 2, "gaussian")]
    drawn = [to_host(key.fold("probe").fold(k).normal((3, 2))) for k in range(2)]
    off = [relative(a, b) for a, b in zip([*found, one], [*signs, signs[0]], strict=True)]
    return max(*off, *(relative(a, b) for a, b in zip(normal, drawn, strict=True)))


@check("hutchinson-trace", route="a matrix times a vector", tolerance=1e-12)
def jacobian_of_normal_data(case: Case) -> float:
    """J v of a distribution's own Jacobian against the matrix of its affine denoiser."""
    schedule = a_schedule(case)
    t = float(timesteps(case, schedule, 1)[0])
    root = case.rng.standard_normal((3, 3))
    covariance = root @ root.T + 0.1 * np.eye(3)
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    inside = alpha**2 * covariance + sigma**2 * np.eye(3)
    J = alpha * covariance @ np.linalg.inv(inside)
    data = Gaussian(case.rng.standard_normal(3), covariance)
    x, v = case.normal((4, 3)), case.rng.standard_normal((4, 3))
    x_0, forward = linearize_by_jacobian(data, schedule)(x, t)
    mean = to_host(data.denoised(schedule, x, t))
    off = relative(forward(case.array(v)), [J @ row for row in v])
    return max(off, relative(x_0, mean), relative(trace(forward, x), np.full(4, np.trace(J))))


@check("change-of-variables", route="a normal density, moments counted", tolerance=1e-13)
def where_a_solution_ends(case: Case) -> float:
    """The noise that sampling starts from, with its own variance; 32 steps if nothing is said."""
    schedule: Schedule = case.choose([EDM(), EDM(sigma_max=3.0), LinearVP(), RectifiedFlow()])
    spread = {0: 80.0, 1: 3.0}.get(case.index % 4, 1.0)
    x = spread * case.rng.standard_normal((3, 2, 2))
    law = NormalDist(0.0, spread)
    expected = [math.fsum(math.log(law.pdf(number)) for number in row.ravel()) for row in x]
    linear = linearize_by_jacobian(Gaussian([0.1], 0.5), schedule)
    count = len(list(flow_log_density(linear, schedule, case.array(x[:, 0, :1]))))
    return max(relative(log_prior(schedule, case.array(x)), expected), abs(count - 32))
