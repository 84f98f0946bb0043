"""Checks of the exact flows: where the probability-flow ODE carries a point."""

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import FiniteData, Gaussian, Mixture, Uniform
from npdiff.laboratory.checks.exact import POINTS, WEIGHTS, scales
from npdiff.laboratory.checks.normal_laws import LINE, ONE, PLANE, Textbook, fine
from npdiff.laboratory.checks.process import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import SCHEDULES, Schedule

CONTINUOUS = ("vp", "cosine-continuous", "sub-vp", "ve", "edm", "rectified-flow")


def integrated(schedule: Schedule, law: Textbook, x: np.ndarray, t: float, s: float) -> np.ndarray:
    """Where dx/dt = f x - g^2 score / 2 leads, by a solver, the law's own score in it."""
    from scipy.integrate import solve_ivp

    def slope(u: float, y: np.ndarray) -> np.ndarray:
        y = y.reshape(x.shape)
        score = law.at(*scales(schedule, u)).score(y)
        return (schedule.drift(u) * y - 0.5 * schedule.diffusion(u) * score).ravel()

    return (
        solve_ivp(slope, (t, s), x.ravel(), method="DOP853", rtol=1e-9, atol=1e-11)
        .y[:, -1]
        .reshape(x.shape)
    )


def a_way(case: Case) -> tuple[Schedule, float, float]:
    """A continuous schedule and two of its times, towards the data and away from them in turn."""
    schedule = SCHEDULES[case.choose(CONTINUOUS)]()
    s, t = timesteps(case, schedule, 2)
    return (schedule, float(t), float(s)) if case.index % 2 else (schedule, float(s), float(t))


@check(
    "gaussian-flow",
    "quantile-flow",
    "flow-in-angle",
    route="a solver of the probability-flow ODE in t",
    tolerance=1e-6,
    cases=len(CONTINUOUS),
)
def flows_by_a_solver(case: Case) -> dict[str, float]:
    """Correlated data, a mixture on the line and one in the plane, either way."""
    schedule, t, s = a_way(case)
    found = {}
    for label, law in (("gaussian-flow", ONE), ("quantile-flow", LINE), ("flow-in-angle", PLANE)):
        D = law.means.shape[1]
        alpha, sigma = scales(schedule, t)
        x = alpha * law.means[0] + np.hypot(0.5 * alpha, sigma) * case.rng.standard_normal((2, D))
        end = law.exact().flow(schedule, case.array(x), t, s)
        found[label] = relative(end, integrated(schedule, law, x, t, s))
    return found


@check(
    "gaussian-flow",
    route="the symmetric map between two covariances",
    tolerance=1e-11,
    cases=len(SCHEDULES),
)
def the_flow_carries_the_covariance(case: Case) -> float:
    """The flow's matrix A, read off unit steps: symmetric, A V_t A = V_s, and mean to mean."""
    schedule = a_schedule(case)
    s, t = timesteps(case, schedule, 2)
    law, other = ONE.at(*scales(schedule, t)), ONE.at(*scales(schedule, s))
    x = np.concatenate([law.means, law.means + np.eye(2)])
    end = to_host(ONE.exact().flow(schedule, case.array(x), t, s))
    A = end[1:] - end[0]
    return max(
        relative(end[0], other.means[0]),
        relative(A, A.T),
        relative(A @ law.covariances[0] @ A.T, other.covariances[0]),
        float(max(0.0, -np.linalg.eigvalsh(A).min())),
    )


@check(
    "quantile-flow",
    route="quadrature of the density up to both ends",
    tolerance=1e-9,
    cases=len(SCHEDULES),
)
def flows_keep_what_is_below(case: Case) -> float:
    """Uniform data and points on the line: as much lies below the end as below the start."""
    schedule = a_schedule(case)
    s, t = (float(u) for u in timesteps(case, schedule, 2))
    data = case.choose([Uniform(-0.7, 1.6), FiniteData(POINTS[:, :1], WEIGHTS)])
    low, high = (-0.7, 1.6) if isinstance(data, Uniform) else (-1.2, 0.9)

    def below(u: float, x: float) -> float:
        alpha, sigma = scales(schedule, u)
        places = (low, high) if isinstance(data, Uniform) else POINTS[:, 0]
        around = [(alpha * place, sigma) for place in places]
        nodes, weights = fine(alpha * low - 12.0 * sigma, x, *around)
        return float(weights @ np.exp(data.log_density(schedule, nodes[:, None], u)))

    alpha, sigma = scales(schedule, t)
    x = alpha * case.rng.uniform(low, high, 2) + sigma * case.rng.standard_normal(2)
    end = to_host(data.flow(schedule, case.array(x[:, None]), t, s))[:, 0]
    return relative([below(s, b) for b in end], [below(t, a) for a in x])


@check("flow-in-angle", route="quantiles, number by number", tolerance=1e-8, cases=6)
def a_product_flows_number_by_number(case: Case) -> float:
    """A mixture of four in the plane that is a product of two on the line; down to the data."""
    schedule = SCHEDULES[case.choose(["rectified-flow", "cosine", "ve", "sub-vp"])]()
    s, t = (float(u) for u in timesteps(case, schedule, 2))
    s = case.choose([s, 0.0, s])
    p, q = LINE.weights, np.array([0.7, 0.3])
    m, n = LINE.means[:, 0], np.array([0.2, 1.5])
    v, w = LINE.covariances[:, 0, 0], np.array([0.1, 0.05])
    pairs = [(i, j) for i in range(2) for j in range(2)]
    plane = Mixture(
        [p[i] * q[j] for i, j in pairs],
        [Gaussian([m[i], n[j]], np.array([v[i], w[j]])) for i, j in pairs],
    )
    lines = [
        Mixture(list(a), [Gaussian([b[k]], float(c[k])) for k in range(2)])
        for a, b, c in ((p, m, v), (q, n, w))
    ]
    alpha, sigma = scales(schedule, t)
    x = alpha * 0.5 + np.hypot(alpha, sigma) * case.rng.standard_normal((3, 2))
    found = to_host(plane.flow(schedule, case.array(x), t, s))
    parts = [line.flow(schedule, x[:, d : d + 1], t, s) for d, line in enumerate(lines)]
    return relative(found, np.concatenate(parts, axis=1))
