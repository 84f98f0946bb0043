"""Checks of likelihoods: the whole bound, the ODE's density, traces, and bits for bytes."""

import itertools
from collections.abc import Callable

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Gaussian, Mixture
from npdiff.likelihood import (
    adaptive_log_density,
    bits_of_bytes,
    bound,
    by_jacobian,
    dequantised,
    flow_log_density,
    trace,
)
from npdiff.likelihood.ode import along_the_flow, clock_of, log_noise, time_of
from npdiff.objective.bound import last_variance, prior_variance
from npdiff.random import Key
from npdiff.schedules import EDM, LinearVP, RectifiedFlow, Schedule, Table
from npdiff.verify.checks.process import a_schedule, times
from npdiff.verify.registry import Case, check, relative


def joint(
    schedule: Schedule, grid: np.ndarray, mean: float, variance: float, of_step: np.ndarray
) -> float:
    """E[-log p(x_0, ..., x_T)] + E[log q(x_1, ..., x_T | x_0)] for normal data in one dimension.

    All variables are jointly normal under q and under the model, whose estimate is perfect: two
    means and two covariance matrices, ordered from the data to the noise.
    """
    ascending = grid[::-1]
    alpha, sigma = schedule.alpha(ascending), schedule.sigma(ascending)
    q_mean = alpha * mean
    q_cov = np.empty((grid.size, grid.size))
    for i, j in np.ndindex(q_cov.shape):
        low, high = min(i, j), max(i, j)
        shared = sigma[low] ** 2 * alpha[high] / alpha[low]
        q_cov[i, j] = alpha[i] * alpha[j] * variance + shared
    n = grid.size
    rows, offset, scale = np.zeros((n, n)), np.zeros(n), np.zeros(n)
    p_mean, p_cov = np.zeros(n), np.zeros((n, n))
    p_cov[-1, -1] = prior_variance(schedule)
    for k in range(n - 2, -1, -1):  # x_k given x_{k+1}
        gain = alpha[k + 1] * variance / (alpha[k + 1] ** 2 * variance + sigma[k + 1] ** 2)
        ratio = alpha[k + 1] / alpha[k]
        noise = sigma[k + 1] ** 2 - ratio**2 * sigma[k] ** 2
        of_x_0 = alpha[k] * noise / sigma[k + 1] ** 2
        rows[k, k + 1] = ratio * sigma[k] ** 2 / sigma[k + 1] ** 2 + of_x_0 * gain
        offset[k] = of_x_0 * (mean - gain * alpha[k + 1] * mean)
        scale[k] = of_step[k]
        p_mean[k] = rows[k, k + 1] * p_mean[k + 1] + offset[k]
        p_cov[k, k + 1 :] = rows[k, k + 1] * p_cov[k + 1, k + 1 :]
        p_cov[k + 1 :, k] = p_cov[k, k + 1 :]
        p_cov[k, k] = rows[k, k + 1] ** 2 * p_cov[k + 1, k + 1] + scale[k]
    off = q_mean - p_mean
    two_pi = np.log(2.0 * np.pi)
    cross = 0.5 * (
        n * two_pi
        + np.linalg.slogdet(p_cov)[1]
        + np.trace(np.linalg.solve(p_cov, q_cov))
        + off @ np.linalg.solve(p_cov, off)
    )
    entropy = 0.5 * (n * (1.0 + two_pi) + np.linalg.slogdet(q_cov)[1])
    of_data = 0.5 * (1.0 + two_pi + np.log(variance))
    return float(cross - (entropy - of_data))


@check(
    "bound",
    route="cross-entropy of two joint normal distributions, by linear algebra",
    tolerance=1e-9,
    cases=9,
)
def bound_by_linear_algebra(case: Case) -> float:
    """The sum of all terms, averaged by quadrature, against the divergence of the whole chain."""
    schedule = case.choose(
        [Table(np.array([0.05, 0.1, 0.2, 0.4, 0.6])), EDM(sigma_max=5.0), LinearVP()]
    )
    grid = np.linspace(schedule.t_max, 0.0, 6)
    mean, variance = case.rng.uniform(0.3, 1.0), case.rng.uniform(0.2, 2.0)
    s, t = grid[:0:-1], grid[-2::-1]
    name = ("small", "large", "other")[case.index // 3]
    ratio = schedule.alpha(t) / schedule.alpha(s)
    forward = schedule.sigma(t) ** 2 - ratio**2 * schedule.sigma(s) ** 2
    small = forward * schedule.sigma(s) ** 2 / schedule.sigma(t) ** 2
    small[0] = float(last_variance(schedule, t[0]))
    of_step = {"small": small, "large": forward, "other": 0.4 + 0.1 * t}[name]
    data = Gaussian([mean], variance)
    nodes, shares = np.polynomial.hermite_e.hermegauss(6)
    pairs = np.array(list(itertools.product(nodes, nodes)))
    weights = np.array([a * b for a, b in itertools.product(shares, shares)]) / (2.0 * np.pi)
    x_0 = case.array(mean + np.sqrt(variance) * pairs[:, :1])
    noise = case.array(pairs[:, 1:])
    chosen: str | Callable[..., float] = name
    if name == "other":
        chosen = lambda x, s, t: 0.4 + 0.1 * t  # noqa: E731
    terms = bound(
        data.denoiser(schedule), schedule, x_0, grid, lambda i: noise,
        variance=chosen, decoder="density",
    )  # fmt: skip
    total = sum(case.array(weights) @ term.nats for term in terms)
    return relative(total, joint(schedule, grid, mean, variance, of_step))


TWO = Mixture([0.35, 0.65], [Gaussian([-0.8], 0.09), Gaussian([0.6], 0.25)])


@check(
    "likelihood-flow",
    "change-of-variables",
    route="exact flows and exact densities of normal data",
    tolerance=1e-5,
    cases=16,
)
def flow_of_normal_data(case: Case) -> dict[str, float]:
    """Where the solution ends, and the density that it gives to where it began."""
    schedule, data = a_schedule(case), Gaussian([0.6, -0.2], np.array([[0.3, 0.1], [0.1, 0.5]]))
    t, T = schedule.t_min, schedule.t_max
    x = case.array(np.array([[-1.3, 0.4], [0.7, 0.1], [0.1, -1.6]]))
    alpha = float(schedule.alpha(t))
    *_, end = flow_log_density(by_jacobian(data, schedule), schedule, x, steps=40)
    found = end.log_density - log_noise(schedule, end.x) + data.log_density(schedule, end.x, T)
    return {
        "likelihood-flow": relative(end.x, data.flow(schedule, alpha * x, t, T)),
        "change-of-variables": relative(
            found, data.log_density(schedule, alpha * x, t) + 2.0 * np.log(alpha)
        ),
    }


@check("change-of-variables", route="SciPy's solver in time", tolerance=1e-5, cases=1)
def flow_in_time(case: Case) -> float:
    """The density by the solver's own coordinates against the ODE and its divergence in time."""
    from scipy.integrate import solve_ivp

    schedule = RectifiedFlow()
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
        slope, (t, T), [*(alpha * x[:, 0]), 0.0, 0.0], rtol=1e-7, atol=1e-7, method="DOP853"
    )
    last = solved.y[:, -1]
    variance = prior_variance(schedule)
    noise = -0.5 * (last[:2] ** 2 / variance + np.log(2.0 * np.pi * variance))
    found, _ = adaptive_log_density(
        by_jacobian(TWO, schedule), schedule, x, tolerance=1e-6, method="DOP853"
    )
    return relative(found, noise + last[2:] + np.log(alpha))


@check(
    "likelihood-flow", route="central differences along an exact solution", tolerance=1e-6, cases=16
)
def slope_along_the_exact_flow(case: Case) -> float:
    """dy / dtau against differences of the exact quantile flow, and the clock and its inverse."""
    schedule = a_schedule(case)
    low, high = times(case, schedule, 2)
    x, h = np.array([[-0.9], [0.2], [1.1]]), 1e-4
    tau = clock_of(schedule, float(high))
    at = [float(time_of(schedule, np.array(tau + d))) for d in (-h, 0.0, h)]

    def scaled(t: float) -> np.ndarray:
        rho = np.hypot(schedule.alpha(t), schedule.sigma(t))
        return TWO.flow(schedule, x, float(low), t) / rho

    slope, _ = along_the_flow(by_jacobian(TWO, schedule), schedule, scaled(at[1]), at[1])
    angle = np.arctan2(schedule.sigma(at[0]), schedule.alpha(at[0]))
    return max(
        relative(slope, (scaled(at[2]) - scaled(at[0])) / (2.0 * h)),
        abs(tau - h - np.log(np.tan(angle / 2.0))),
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


@check("dequantisation", route="the bin each number falls into", tolerance=1e-12)
def bytes_from_their_bins(case: Case) -> float:
    """Rounding finds the byte again, and where in its bin a number lies is uniform."""
    images = case.rng.integers(0, 256, (40, 25), dtype=np.uint8)
    x = dequantised(case.xp.asarray(images), Key(case.index, range(40)), np.float64)
    place = (to_host(x) + 1.0) * 255.0 / 2.0 + 0.5
    byte = np.floor(place)
    part = np.sort((place - byte).ravel())
    even = (np.arange(1000) + 0.5) / 1000
    uneven = float(np.abs(part - even).max()) > 1.95 / np.sqrt(1000)
    return max(relative(byte, images.astype(float)), float(uneven))


@check("dequantised-bits", route="a density that is constant on each bin", tolerance=1e-12, cases=3)
def bits_of_constant_bins(case: Case) -> float:
    """With no loss by Jensen's inequality the bits are -log2 of the bytes' probabilities."""
    width = case.choose([1 / 127.5, 2 / 256, 1 / 256])
    chances = case.rng.dirichlet(np.ones(256), size=(5, 7))
    byte = case.rng.integers(0, 256, (5, 7))
    p = np.take_along_axis(chances, byte[..., None], -1)[..., 0]
    density = np.log(p / width).sum(axis=1)
    found = bits_of_bytes(density, 7) if case.index % 3 == 0 else bits_of_bytes(density, 7, width)
    return relative(found, -np.log2(p).mean(axis=1))
