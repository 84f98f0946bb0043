"""Checks of the likelihood by the probability-flow ODE."""

import math
from statistics import NormalDist

import numpy as np

from npdiff.exact import Gaussian, Mixture
from npdiff.laboratory.checks._schedules import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.likelihood import adaptive_log_density, flow_log_density, linearize_by_jacobian
from npdiff.likelihood.ode import flow_derivative, log_prior, tau_of, time_of
from npdiff.objective.bound import prior_variance
from npdiff.schedules import EDM, SCHEDULES, LinearVP, RectifiedFlow, Schedule

TWO = Mixture([0.35, 0.65], [Gaussian([-0.8], 0.09), Gaussian([0.6], 0.25)])


@check(
    "likelihood-flow",
    "change-of-variables",
    method="exact flows and exact densities of Gaussians",
    tolerance=1e-4,
    cases=len(SCHEDULES),
)
def flow_of_normal_data(case: Case) -> dict[str, float]:
    """The end of the solution, and the density it gives at its start."""
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


@check("change-of-variables", method="SciPy's solver in time", tolerance=1e-4, cases=1)
def flow_in_time(case: Case) -> float:
    """The density in the solver's coordinates against the ODE and its divergence in time."""
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
    "likelihood-flow",
    method="central differences along an exact solution",
    tolerance=1e-6,
    cases=len(SCHEDULES),
)
def slope_along_the_exact_flow(case: Case) -> float:
    """dy / dtau against differences of the exact quantile flow; tau of t, and t of tau."""
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
    method="exact densities for a prior other than N(0, I)",
    tolerance=1e-6,
    cases=2,
)
def adaptive_flow_of_normal_data(case: Case) -> float:
    """SciPy's solution in two dimensions for a prior of variance 16, and the prior itself."""
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


@check("change-of-variables", method="a normal density; counting steps", tolerance=1e-13)
def prior_density_and_default_steps(case: Case) -> float:
    """The density of the noise at the end, with its variance; 32 steps by default."""
    schedule: Schedule = case.choose([EDM(), EDM(sigma_max=3.0), LinearVP(), RectifiedFlow()])
    scale_of_data = {0: 80.0, 1: 3.0}.get(case.index % 4, 1.0)
    x = scale_of_data * case.rng.standard_normal((3, 2, 2))
    prior = NormalDist(0.0, scale_of_data)
    expected = [math.fsum(math.log(prior.pdf(value)) for value in row.ravel()) for row in x]
    linear = linearize_by_jacobian(Gaussian([0.1], 0.5), schedule)
    count = len(list(flow_log_density(linear, schedule, case.array(x[:, 0, :1]))))
    return max(relative(log_prior(schedule, case.array(x)), expected), abs(count - 32))
