"""Checks of Jacobian products of denoisers and of Hutchinson's trace."""

import itertools
import zlib

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.denoiser import Denoiser
from npdiff.exact import Gaussian
from npdiff.laboratory.checks._philox import words_of
from npdiff.laboratory.checks._schedules import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.likelihood import (
    linearize_by_differences,
    linearize_by_jacobian,
    linearize_by_pullback,
    random_probes,
    trace,
)
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.pullback import Traced
from npdiff.random import Key
from npdiff.schedules import EDM, SCHEDULES, LinearVP, Times


@check("hutchinson-trace", method="complex steps", tolerance=1e-9, cases=2 * len(PARAMETERIZATIONS))
def jacobians_by_complex_step(case: Case) -> float:
    """J v by differences and J^T v by a pullback, for a network with a known derivative."""
    schedule = [LinearVP(), EDM(sigma_max=5.0)][case.index // len(PARAMETERIZATIONS) % 2]
    parameterization = case.choose(list(PARAMETERIZATIONS.values()))
    matrix = case.rng.standard_normal((3, 3))
    x, v, w = case.rng.standard_normal((3, 4, 3))
    t = 0.3 * schedule.t_max

    def network(x: np.ndarray, timestep: np.ndarray) -> np.ndarray:
        return np.sin(x @ matrix + timestep[:, None] / 1000.0)

    def module(x: np.ndarray, timestep: np.ndarray) -> Traced:
        slope = np.cos(x @ matrix + timestep[:, None] / 1000.0)
        return network(x, timestep), lambda dy: (None, (dy * slope) @ matrix.T, None)

    denoise = Denoiser(network, schedule, parameterization)
    expected = denoise(x + 1e-30j * v, t)[0].imag / 1e-30
    here, forward = linearize_by_differences(denoise, schedule, 1e-3)(x, t)
    same, transposed = linearize_by_pullback(module, schedule, parameterization)(x, t)
    estimate, _ = denoise(x, t)
    return max(
        relative(forward(v), expected),
        relative((v * transposed(w)).sum(axis=1), (w * expected).sum(axis=1)),
        relative(here, estimate),
        relative(same, estimate),
    )


@check("hutchinson-trace", method="the moments of signs and normal samples", tolerance=0.2)
def probes_have_unit_covariance(case: Case) -> float:
    """E[v v^T] over many samples; signs have square 1, normal samples fourth moment 3."""
    x, key = case.array(np.zeros((4000, 3))), Key(case.index, range(4000))
    signs, normals = (
        [to_host(v) for v in random_probes(key, x, 2, kind)] for kind in ("rademacher", "gaussian")
    )
    return max(
        *(float(np.abs(v.T @ v / 4000 - np.eye(3)).max()) for v in (*signs, *normals)),
        *(relative(v**2, np.ones_like(v)) for v in signs),
        *(abs(float((v**4).mean()) / 3.0 - 1.0) for v in normals),
        float(np.abs(signs[0].T @ signs[1]).max()) / 4000,
    )


@check("hutchinson-trace", method="all sign vectors; the diagonal", tolerance=1e-13)
def trace_by_all_signs(case: Case) -> float:
    """The trace over all 2^D sign vectors, and over the basis, against NumPy's."""
    matrix = case.normal((3, 4, 4)) + 0.4
    x = case.normal((3, 2, 2))

    def times_matrix(v: np.ndarray) -> np.ndarray:
        return (matrix * v.reshape(3, 1, 4)).sum(axis=-1).reshape(3, 2, 2)

    signs = [
        case.array(np.broadcast_to(np.reshape(row, (2, 2)), (3, 2, 2)))
        for row in itertools.product((-1.0, 1.0), repeat=4)
    ]
    expected = sum(matrix[:, d, d] for d in range(4))
    return max(
        relative(trace(times_matrix, x, signs), expected),
        relative(trace(times_matrix, x), expected),
    )


@check(
    "hutchinson-trace",
    method="powers: exact to degree 4, known error at degree 5",
    tolerance=1e-9,
    cases=len(SCHEDULES),
)
def jacobian_of_powers(case: Case) -> float:
    """Differences of a map of powers: no error to degree 4; -4 h^4 v^5 for degree 5."""
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
        h = 0.01 * scale  # the default step, in units of sigma_t
        expected = expected - 4.0 * h**4 * w**5
    wide = linearize_by_differences(denoise, schedule, 0.02)(case.array(x), t)[1]
    twice = expected - (60.0 * h**4 * w**5 if power == 5 else 0.0)
    return max(
        relative(x_0, u**power @ mix),
        relative(forward(case.array(v)), expected @ mix),
        relative(wide(case.array(v)), twice @ mix),
    )


@check("hutchinson-trace", method="Philox in Python integers; the trace itself", tolerance=1e-12)
def probes_from_their_words(case: Case) -> float:
    """The sign of a probe is the lowest bit of its word; normal probes are the key's samples."""
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
    (only,) = random_probes(key, x)  # one by default
    one = to_host(only).reshape(2, 6)
    normal = [to_host(v) for v in random_probes(key, x, 2, "gaussian")]
    drawn = [to_host(key.fold("probe").fold(k).normal((3, 2))) for k in range(2)]
    off = [relative(a, b) for a, b in zip([*found, one], [*signs, signs[0]], strict=True)]
    return max(*off, *(relative(a, b) for a, b in zip(normal, drawn, strict=True)))


@check("hutchinson-trace", method="a matrix times a vector", tolerance=1e-12)
def jacobian_of_normal_data(case: Case) -> float:
    """J v from a distribution's Jacobian against the matrix of its affine denoiser."""
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
