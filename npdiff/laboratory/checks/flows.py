"""Checks of the density that the probability-flow ODE gives to data, and of traces."""

import itertools

import numpy as np

from npdiff.backend import to_host
from npdiff.denoiser import Denoiser
from npdiff.exact import Gaussian, Mixture
from npdiff.laboratory.checks.process import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.likelihood import (
    adaptive_log_density,
    flow_log_density,
    linearize_by_differences,
    linearize_by_jacobian,
    linearize_by_pullback,
    random_probes,
    trace,
)
from npdiff.likelihood.ode import flow_derivative, log_prior, tau_of, time_of
from npdiff.objective.bound import prior_variance
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.pullback import Traced
from npdiff.random import Key
from npdiff.schedules import EDM, LinearVP, RectifiedFlow

TWO = Mixture([0.35, 0.65], [Gaussian([-0.8], 0.09), Gaussian([0.6], 0.25)])


@check(
    "likelihood-flow",
    "change-of-variables",
    route="exact flows and exact densities of normal data",
    tolerance=1e-4,
    cases=16,
)
def flow_of_normal_data(case: Case) -> dict[str, float]:
    """Where the solution ends, and the density that it gives to where it began."""
    schedule, data = a_schedule(case), Gaussian([0.6, -0.2], np.array([[0.3, 0.1], [0.1, 0.5]]))
    t, T = schedule.t_min, schedule.t_max
    x = case.array(np.array([[-1.3, 0.4], [0.7, 0.1], [0.1, -1.6]]))
    alpha = float(schedule.alpha(t))
    *_, end = flow_log_density(linearize_by_jacobian(data, schedule), schedule, x, steps=24)
    found = end.log_density - log_prior(schedule, end.x) + data.log_density(schedule, end.x, T)
    return {
        "likelihood-flow": relative(end.x, data.flow(schedule, alpha * x, t, T)),
        "change-of-variables": relative(
            found, data.log_density(schedule, alpha * x, t) + 2.0 * np.log(alpha)
        ),
    }


@check("change-of-variables", route="SciPy's solver in time", tolerance=1e-4, cases=1)
def flow_in_time(case: Case) -> float:
    """The density by the solver's own coordinates against the ODE and its divergence in time."""
    from scipy.integrate import solve_ivp

    schedule = RectifiedFlow()
    schedule.t_min = 0.05
    t, T = schedule.t_min, schedule.t_max
    x, alpha = np.array([[-1.1], [0.4]]), float(schedule.alpha(t))

    def slope(time: float, state: np.ndarray) -> np.ndarray:
        x = state[:2, None]
        a, s = float(schedule.alpha_dot(time)), float(schedule.sigma_dot(time))
        x_0, eps = TWO.denoiser(schedule)(x, time)
        jacobian = TWO.jacobian(schedule, x, time)[:, 0, 0]
        by_eps = (1.0 - schedule.alpha(time) * jacobian) / schedule.sigma(time)
        return np.concatenate([(a * x_0 + s * eps)[:, 0], a * jacobian + s * by_eps])

    solved = solve_ivp(
        slope, (t, T), [*(alpha * x[:, 0]), 0.0, 0.0], rtol=1e-6, atol=1e-6, method="DOP853"
    )
    last = solved.y[:, -1]
    variance = prior_variance(schedule)
    noise = -0.5 * (last[:2] ** 2 / variance + np.log(2.0 * np.pi * variance))
    found, _ = adaptive_log_density(
        linearize_by_jacobian(TWO, schedule), schedule, x, tolerance=1e-5, method="DOP853"
    )
    return relative(found, noise + last[2:] + np.log(alpha))


@check(
    "likelihood-flow", route="central differences along an exact solution", tolerance=1e-6, cases=16
)
def slope_along_the_exact_flow(case: Case) -> float:
    """dy / dtau against differences of the exact quantile flow, and the clock and its inverse."""
    schedule = a_schedule(case)
    low, high = timesteps(case, schedule, 2)
    x, h = np.array([[-0.9], [0.2], [1.1]]), 1e-4
    tau = tau_of(schedule, float(high))
    at = [float(time_of(schedule, np.array(tau + d))) for d in (-h, 0.0, h)]

    def scaled(t: float) -> np.ndarray:
        rho = np.hypot(schedule.alpha(t), schedule.sigma(t))
        return TWO.flow(schedule, x, float(low), t) / rho

    slope, _ = flow_derivative(linearize_by_jacobian(TWO, schedule), schedule, scaled(at[1]), at[1])
    angle = np.arctan2(schedule.sigma(at[0]), schedule.alpha(at[0]))
    return max(
        relative(slope, (scaled(at[2]) - scaled(at[0])) / (2.0 * h)),
        abs(tau - h - np.log(np.tan(angle / 2.0))),
    )


@check(
    "change-of-variables",
    "bound-prior",
    route="exact densities where volumes and the prior have a scale",
    tolerance=1e-6,
    cases=2,
)
def adaptive_flow_of_normal_data(case: Case) -> float:
    """SciPy's solution in two dimensions, for a prior that is not N(0, I), and the prior itself."""
    schedule, N = EDM(sigma_max=4.0), 3
    data = Gaussian([0.6, -0.2], np.array([[0.3, 0.1], [0.1, 0.5]]))
    x = case.rng.standard_normal((N, 2))
    found, _ = adaptive_log_density(
        linearize_by_jacobian(data, schedule), schedule, x, tolerance=1e-8, method="DOP853"
    )
    t, T = schedule.t_min, schedule.t_max
    end = data.flow(schedule, x, t, T)
    prior = -0.5 * (end**2).sum(axis=1) / 16.0 - np.log(2.0 * np.pi * 16.0)
    expected = prior + data.log_density(schedule, x, t) - data.log_density(schedule, end, T)
    return max(relative(found, expected), relative(log_prior(schedule, end), prior))


@check("hutchinson-trace", route="complex steps", tolerance=1e-9, cases=12)
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


@check("hutchinson-trace", route="the moments of signs and of normal numbers", tolerance=0.2)
def probes_have_unit_covariance(case: Case) -> float:
    """E[v v^T] over many samples; a sign's square is 1, a normal number's fourth power 3."""
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


@check("hutchinson-trace", route="all sign vectors; the diagonal", tolerance=1e-13)
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
