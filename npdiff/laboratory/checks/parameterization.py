"""Checks of parameterizations: the meaning of a network's output."""

from typing import Any

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.denoiser import Denoiser, inference_network
from npdiff.laboratory.checks._schedules import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.parameterization import PARAMETERIZATIONS, Parameterization, edm
from npdiff.process import marginal
from npdiff.schedules import SCHEDULES, Cosine, LinearVP


@check("output", method="the known data and noise", tolerance=1e-12, cases=len(SCHEDULES))
def targets_of_data_and_noise(case: Case) -> float:
    """The targets of prediction types x0 and eps are the data and the noise."""
    schedule = a_schedule(case)
    t = timesteps(case, schedule, 3)
    x_0, eps = case.normal((3, 2)) + 0.7, case.normal((3, 2))
    return max(
        relative(PARAMETERIZATIONS["x0"].target(schedule, x_0, eps, t), x_0),
        relative(PARAMETERIZATIONS["eps"].target(schedule, x_0, eps, t), eps),
    )


@check(
    "output", "solution", "determinant", method="numpy.linalg on the 2x2 system", tolerance=1e-9,
    cases=2 * len(SCHEDULES),
)  # fmt: skip
def parameterizations_by_linear_algebra(case: Case) -> dict[str, float]:
    """Target, determinant and inverse for arbitrary (a, b) against the linear solver."""
    schedule = a_schedule(case)
    a, b = case.rng.normal(size=2)
    parameterization = Parameterization(
        "arbitrary", lambda schedule, t: (np.full(np.shape(t), a), np.full(np.shape(t), b))
    )
    t = timesteps(case, schedule, 3)
    x_0, eps = case.normal((3, 2)) + 0.7, case.normal((3, 2))
    systems = np.array([[[schedule.alpha(u), schedule.sigma(u)], [a, b]] for u in t])
    known = np.stack([to_host(x_0), to_host(eps)], axis=1)
    x_t, output = np.moveaxis(systems @ known, 1, 0)
    solved = np.linalg.solve(systems, np.stack([x_t, output], axis=1))
    found = parameterization.solve(schedule, case.array(x_t), case.array(output), t)
    conditioned = np.abs(np.linalg.det(systems)).min() / np.abs(systems).max() ** 2
    return {
        "output": relative(parameterization.target(schedule, x_0, eps, t), output),
        "determinant": relative(parameterization.determinant(schedule, t), np.linalg.det(systems)),
        "solution": conditioned * relative(np.stack([to_host(f) for f in found], 1), solved),
    }


@check(
    "solution",
    method="every target back to data and noise",
    tolerance=1e-11,
    cases=3 * len(SCHEDULES),
)
def parameterizations_are_inverse_pairs(case: Case) -> float:
    """Each parameterization, solved at its target, on every schedule."""
    schedule = a_schedule(case)
    t = timesteps(case, schedule, 3)
    x_0, eps = case.normal((3, 2)) + 0.7, case.normal((3, 2))
    x_t = marginal(schedule, x_0, eps, t)
    worst = 0.0
    for parameterization in PARAMETERIZATIONS.values():
        found = parameterization.solve(
            schedule, x_t, parameterization.target(schedule, x_0, eps, t), t
        )
        # Errors are measured in units of x_t.
        alpha, sigma = (case.array(s(t)[:, None]) for s in (schedule.alpha, schedule.sigma))
        worst = max(
            worst,
            relative(alpha * found[0] + x_t, alpha * x_0 + x_t),
            relative(sigma * found[1] + x_t, sigma * eps + x_t),
        )
    return worst


@check("v-prediction", method="central differences in the angle", tolerance=1e-9)
def v_is_the_velocity_on_the_circle(case: Case) -> float:
    """With (alpha, sigma) = (cos, sin) of an angle, v is the derivative of x_t in that angle."""
    schedule = Cosine()
    t = timesteps(case, schedule, 4)
    x_0, eps = case.normal((4, 2)) + 0.7, case.normal((4, 2))
    angle = np.arctan2(schedule.sigma(t), schedule.alpha(t))[:, None]
    h = 1e-3
    slope = 0.0
    for k, c in ((1, 8 / 12), (-1, -8 / 12), (2, -1 / 12), (-2, 1 / 12)):
        at = angle + k * h
        slope = slope + c / h * (case.array(np.cos(at)) * x_0 + case.array(np.sin(at)) * eps)
    return relative(PARAMETERIZATIONS["v"].target(schedule, x_0, eps, t), slope)


@check(
    "score", method="complex step through the log-density", tolerance=1e-10, cases=len(SCHEDULES)
)
def score_by_complex_step(case: Case) -> float:
    """The score against the derivative of log N(x_t; alpha_t x_0, sigma_t^2)."""
    schedule = a_schedule(case)
    t = timesteps(case, schedule, 4)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    x_0, eps = case.rng.normal(0.7, 0.5, 4), case.rng.normal(size=4)
    x_t = alpha * x_0 + sigma * eps + 1e-30j
    log_density = -0.5 * (x_t - alpha * x_0) ** 2 / sigma**2
    found = PARAMETERIZATIONS["score"].target(schedule, case.array(x_0), case.array(eps), t)
    return relative(found, log_density.imag / 1e-30)


@check("velocity", method="central differences in time", tolerance=1e-6, cases=len(SCHEDULES))
def velocity_by_differences(case: Case) -> float:
    """The velocity against the slope of alpha_t x_0 + sigma_t eps, inside the steps."""
    schedule = a_schedule(case)
    t = timesteps(case, schedule, 4)
    t = t if schedule.steps is None else np.floor(t) + 0.5
    h = 1e-3 * np.minimum(t, 1.0)
    x_0, eps = case.normal((4, 2)) + 0.7, case.normal((4, 2))
    slope = 0.0
    for k, c in (
        (1, 45 / 60),
        (-1, -45 / 60),
        (2, -9 / 60),
        (-2, 9 / 60),
        (3, 1 / 60),
        (-3, -1 / 60),
    ):
        at = t + k * h
        along = case.array((c * schedule.alpha(at) / h)[:, None]) * x_0
        slope = slope + along + case.array((c * schedule.sigma(at) / h)[:, None]) * eps
    return relative(PARAMETERIZATIONS["velocity"].target(schedule, x_0, eps, t), slope)


@check(
    "edm-preconditioning", "edm-input", method="linear regression of data on x_t", tolerance=1e-11,
    cases=2 * len(SCHEDULES),
)  # fmt: skip
def edm_by_regression(case: Case) -> dict[str, float]:
    """x_0 of deviation sigma_d is its regression on x_t plus F times the residual deviation."""
    schedule, sigma_data = a_schedule(case), case.rng.uniform(0.2, 2.0)
    parameterization = edm(sigma_data)
    (t,) = timesteps(case, schedule, 1)
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    # Covariance of (x_0, x_t), from independent x_0 and eps.
    mixing = np.array([[1.0, 0.0], [alpha, sigma]])
    covariance = mixing @ np.diag([sigma_data**2, 1.0]) @ mixing.T
    slope = covariance[0, 1] / covariance[1, 1]
    left = np.sqrt(np.linalg.det(covariance) / covariance[1, 1])
    x_t, F = case.normal((3, 2)), case.normal((3, 2))
    x_0, _ = parameterization.solve(schedule, x_t, F, t)
    network_input = parameterization.network_input(schedule, x_t, t)
    return {
        "edm-preconditioning": relative(x_0, slope * x_t + left * F),
        "edm-input": relative(network_input, x_t / float(np.sqrt(covariance[1, 1]))),
    }


@check(
    "edm-input", method="a network that records its input", tolerance=1e-12, cases=len(SCHEDULES)
)
def network_receives_scaled_input(case: Case) -> float:
    """The input that a denoiser passes to its network, recorded by the network."""
    schedule = a_schedule(case)
    t = timesteps(case, schedule, 3)
    received = []

    def network(x: np.ndarray, timestep: np.ndarray) -> np.ndarray:
        received.append(x)
        return x

    x = case.normal((3, 2))
    Denoiser(network, schedule, edm(0.8))(x, t)
    deviation = np.sqrt((0.8 * schedule.alpha(t)) ** 2 + schedule.sigma(t) ** 2)
    return relative(received[0], x / case.array(deviation[:, None]))


@check("solution", method="a module without its pullback", tolerance=1e-15, cases=1)
def module_without_pullback(case: Case) -> float:
    """State, timestep and conditions reach a module; x0_hat follows from its output."""
    schedule = LinearVP()

    def module(x: Array, timestep: Array, labels: Any) -> Any:
        return x**2 + timestep[:, None] * labels[:, None], None

    x, labels = case.normal((3, 2)), case.array([1.0, -2.0, 0.5])
    denoiser = Denoiser(inference_network(module, labels=labels), schedule, PARAMETERIZATIONS["x0"])
    ticks = schedule.timestep(np.array([0.2, 0.5, 0.9]))
    expected = to_host(x) ** 2 + (ticks * to_host(labels))[:, None]
    return relative(denoiser(x, np.array([0.2, 0.5, 0.9]))[0], expected)
