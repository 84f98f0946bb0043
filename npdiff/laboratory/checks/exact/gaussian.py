"""Checks of exact Gaussians: Bayes' rule, the flow, conditioning."""

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.checks._exact_data import (
    LINE,
    ONE,
    PLANE,
    Textbook,
    bayes_on_a_grid,
    noisy,
    scales,
    schedule_and_time,
)
from npdiff.laboratory.checks._schedules import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import SCHEDULES, LinearVP, Schedule


@check(
    "gaussian-marginal",
    "gaussian-denoiser",
    "gaussian-covariance",
    "gaussian-posterior-variance",
    method="Bayes' rule on a grid of x_0",
    tolerance=1e-10,
    cases=len(SCHEDULES),
)
def gaussian_by_bayes(case: Case) -> dict[str, float]:
    """Density, mean and covariance against sums of prior times likelihood, correlated data."""
    schedule, t, alpha, sigma = schedule_and_time(case)
    data = ONE.exact()
    x = noisy(case, data.mean, alpha, sigma)  # type: ignore[attr-defined]
    log_q, _, mean, covariance = bayes_on_a_grid(ONE, alpha, sigma, x)
    at = case.array(x[None])
    return {
        "gaussian-marginal": abs(float(to_host(data.log_density(schedule, at, t))[0]) - log_q),
        "gaussian-denoiser": relative(data.denoised(schedule, at, t), mean[None]),
        "gaussian-covariance": relative(data.covariance(schedule, at, t), covariance[None]),
        "gaussian-posterior-variance": relative(
            data.mean_posterior_variance(schedule, t), np.trace(covariance) / 2.0
        ),
    }


CONTINUOUS = ("vp", "cosine-continuous", "sub-vp", "ve", "edm", "rectified-flow")


def integrated(
    schedule: Schedule, mixture: Textbook, x: np.ndarray, t: float, s: float
) -> np.ndarray:
    """A numerical solution of dx/dt = f x - g^2 score / 2 with the exact score."""
    from scipy.integrate import solve_ivp

    def slope(u: float, y: np.ndarray) -> np.ndarray:
        y = y.reshape(x.shape)
        score = mixture.at(*scales(schedule, u)).score(y)
        return (schedule.drift(u) * y - 0.5 * schedule.diffusion(u) * score).ravel()

    return (
        solve_ivp(slope, (t, s), x.ravel(), method="DOP853", rtol=1e-9, atol=1e-11)
        .y[:, -1]
        .reshape(x.shape)
    )


def schedule_and_times(case: Case) -> tuple[Schedule, float, float]:
    """A continuous schedule and two times, alternately towards the data and away from them."""
    schedule = SCHEDULES[case.choose(CONTINUOUS)]()
    s, t = timesteps(case, schedule, 2)
    return (schedule, float(t), float(s)) if case.index % 2 else (schedule, float(s), float(t))


@check(
    "gaussian-flow",
    "quantile-flow",
    "flow-in-angle",
    method="a solver of the probability-flow ODE in t",
    tolerance=1e-6,
    cases=len(CONTINUOUS),
)
def flows_by_a_solver(case: Case) -> dict[str, float]:
    """Correlated data, a mixture on the line and one in the plane, in both directions."""
    schedule, t, s = schedule_and_times(case)
    found = {}
    for label, mixture in (
        ("gaussian-flow", ONE),
        ("quantile-flow", LINE),
        ("flow-in-angle", PLANE),
    ):
        D = mixture.means.shape[1]
        alpha, sigma = scales(schedule, t)
        x = alpha * mixture.means[0] + np.hypot(0.5 * alpha, sigma) * case.rng.standard_normal(
            (2, D)
        )
        end = mixture.exact().flow(schedule, case.array(x), t, s)
        found[label] = relative(end, integrated(schedule, mixture, x, t, s))
    return found


@check(
    "gaussian-flow",
    method="the symmetric map between two covariances",
    tolerance=1e-11,
    cases=len(SCHEDULES),
)
def flow_maps_the_covariance(case: Case) -> float:
    """The flow's matrix A from unit steps: symmetric, A V_t A = V_s, and means map to means."""
    schedule = a_schedule(case)
    s, t = timesteps(case, schedule, 2)
    mixture, other = ONE.at(*scales(schedule, t)), ONE.at(*scales(schedule, s))
    x = np.concatenate([mixture.means, mixture.means + np.eye(2)])
    end = to_host(ONE.exact().flow(schedule, case.array(x), t, s))
    A = end[1:] - end[0]
    return max(
        relative(end[0], other.means[0]),
        relative(A, A.T),
        relative(A @ mixture.covariances[0] @ A.T, other.covariances[0]),
        float(max(0.0, -np.linalg.eigvalsh(A).min())),
    )


@check("gaussian-conditional", method="blocks of the inverse covariance", tolerance=1e-12)
def conditional_by_precision(case: Case) -> float:
    """Conditional mean and covariance from the precision matrix, and by regression."""
    root = np.tril(case.rng.uniform(-0.5, 0.5, (5, 5))) + np.diag(case.rng.uniform(0.6, 1.2, 5))
    C, m = root @ root.T, case.rng.normal(0.4, 1.0, 5)
    known = np.isin(np.arange(5), case.choose([(0, 3), (1,), (0, 2, 4), (1, 2, 3, 4)]))
    values = case.rng.standard_normal(int(known.sum()))
    found = Gaussian(m, C).conditional(known, values)
    P = np.linalg.inv(C)
    block, cross = P[np.ix_(~known, ~known)], P[np.ix_(~known, known)]
    mean = m[~known] - np.linalg.solve(block, cross @ (values - m[known]))
    schedule = LinearVP()
    covariance = found.covariance(schedule, np.zeros((1, found.size)), 1.0)[0]
    left = np.linalg.inv(block)  # unconditional; given x_1 it is a little less
    alpha, sigma = scales(schedule, 1.0)
    expected = np.linalg.inv(np.linalg.inv(left) + (alpha / sigma) ** 2 * np.eye(found.size))
    return max(relative(found.mean, mean), relative(covariance, expected))
