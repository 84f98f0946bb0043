"""Checks of the numbers that exact distributions have: spread, entropy, what is left to know."""

import numpy as np

from npdiff.exact import Distribution, FiniteData, Gaussian, Uniform
from npdiff.laboratory.checks.exact import POINTS, WEIGHTS, scales
from npdiff.laboratory.checks.normal_laws import LINE, ONE, PLANE, Textbook, fine
from npdiff.laboratory.checks.process import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import EDM, LinearVP


def mean_squared_error(law: Textbook, alpha: float, sigma: float) -> float:
    """tr Var[x_0] - tr Var[E[x_0 | x_t]] on the line, the mean by Tweedie's formula on a grid."""
    q = law.at(alpha, sigma)
    around = [(m, d) for m, d in zip(q.means[:, 0], np.sqrt(q.covariances[:, 0, 0]), strict=True)]
    low = min(m - 11.0 * d for m, d in around)
    x, weights = fine(low, max(m + 11.0 * d for m, d in around), *around)
    p = weights * np.exp(q.log_density(x[:, None]))
    mean = (x + sigma**2 * q.score(x[:, None])[:, 0]) / alpha
    total = law.weights @ (law.covariances[:, 0, 0] + law.means[:, 0] ** 2)
    return float(total - p @ mean**2)


@check(
    "mean-posterior-variance",
    "gaussian-posterior-variance",
    route="the law of total variance",
    tolerance=1e-8,
    cases=10,
)
def spread_by_total_variance(case: Case) -> dict[str, float]:
    """What the data vary less what their estimate varies: a mixture, a normal law, a box."""
    schedule = a_schedule(case)
    t = float(timesteps(case, schedule, 3)[1 + case.index % 2])
    alpha, sigma = scales(schedule, t)
    box = Uniform([-0.7, 0.2], [1.6, 0.5])
    total = 0.0
    for low, high in zip(box.low, box.high, strict=True):
        side = Uniform(low, high)
        x, weights = fine(
            alpha * low - 11.0 * sigma,
            alpha * high + 11.0 * sigma,
            (alpha * low, sigma),
            (alpha * high, sigma),
        )
        p = weights * np.exp(side.log_density(schedule, x[:, None], t))
        mean = side.denoised(schedule, x[:, None], t)[:, 0] - 0.5 * (low + high)
        total += 0.5 * ((high - low) ** 2 / 12.0 - p @ mean**2)
    normal = Textbook(np.ones(1), np.array([[0.7]]), np.array([[[0.5]]]))
    return {
        "mean-posterior-variance": max(
            relative(
                LINE.exact().mean_posterior_variance(schedule, t),
                mean_squared_error(LINE, alpha, sigma),
            ),
            relative(box.mean_posterior_variance(schedule, t), total),
        ),
        "gaussian-posterior-variance": relative(
            normal.exact().mean_posterior_variance(schedule, t),
            mean_squared_error(normal, alpha, sigma),
        ),
    }


def information(data: Distribution, most: float) -> float:
    """h(x_0) from the errors of denoising alone.

    Of a number x seen as sqrt(g) x + noise, the entropy is that of a normal law of unit variance
    less half the integral over g of 1 / (1 + g) - error(g): Guo, Shamai and Verdu's identity.
    """
    schedule = EDM(sigma_max=1e6)  # g is 1 / sigma^2
    logs, weights = fine(-27.0, most, (0.0, 60.0))
    g = np.exp(logs)
    errors = np.array([data.mean_posterior_variance(schedule, float(a**-0.5)) for a in g])
    rest = 0.5 * weights @ (g * (1.0 / (1.0 + g) - errors))
    return float(data.size * (0.5 * np.log(2.0 * np.pi * np.e) - rest))


@check(
    "differential-entropy",
    "gaussian-entropy",
    "uniform-entropy",
    route="the integral of the denoising error over the noise",
    tolerance=1e-8,
    cases=1,
)
def entropy_by_information(case: Case) -> dict[str, float]:
    """A mixture on the line, a normal law in the plane, a box."""
    laws = {
        "differential-entropy": (LINE.exact(), 27.0),
        "gaussian-entropy": (ONE.exact(), 27.0),
        "uniform-entropy": (Uniform([-0.7, 0.2], [1.6, 0.5]), 45.0),
    }
    return {k: abs(data.entropy() - information(data, most)) for k, (data, most) in laws.items()}


@check("differential-entropy", route="a sum of -q log q over the plane", tolerance=1e-9, cases=1)
def entropy_on_a_grid(case: Case) -> float:
    """A mixture of three correlated normal laws."""
    axis = np.linspace(-6.0, 6.0, 601)
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    logs = PLANE.log_density(x)
    return abs(PLANE.exact().entropy() + (np.exp(logs) * logs).sum() * (axis[1] - axis[0]) ** 2)


@check(
    "mean-posterior-variance",
    "differential-entropy",
    route="one dimension of three does not take part",
    tolerance=0.03,
    cases=1,
)
def means_over_draws(case: Case) -> dict[str, float]:
    """In three dimensions, where draws take the place of a rule: plane and line, added up."""
    schedule = LinearVP()
    t, third = float(schedule.time_at(1.0)), Gaussian([0.4], 0.3)
    m, C = (np.zeros((3, 3)), np.zeros((3, 3, 3)))
    m[:, :2], m[:, 2], C[:, :2, :2], C[:, 2, 2] = PLANE.means, 0.4, PLANE.covariances, 0.3
    space, plane = Textbook(PLANE.weights, m, C).exact(), PLANE.exact()
    flat, points = (FiniteData(p, WEIGHTS) for p in (np.pad(POINTS, ((0, 0), (0, 1))), POINTS))
    many = FiniteData(np.repeat(POINTS, 9, axis=0), np.repeat(WEIGHTS, 9))  # more than have a rule
    box = Uniform([-0.7, 0.2], [1.6, 0.5])
    x, weights = box.nodes(schedule, t)
    alpha = float(schedule.alpha(t))
    return {
        "mean-posterior-variance": max(
            relative(
                3.0 * space.mean_posterior_variance(schedule, t),
                2.0 * plane.mean_posterior_variance(schedule, t)
                + third.mean_posterior_variance(schedule, t),
            ),
            relative(
                3.0 * flat.mean_posterior_variance(schedule, t),
                2.0 * points.mean_posterior_variance(schedule, t),
            ),
            relative(
                many.mean_posterior_variance(schedule, t),
                points.mean_posterior_variance(schedule, t),
            ),
            relative(weights @ x, alpha * np.array([0.45, 0.35])),
        ),
        "differential-entropy": abs(space.entropy() - plane.entropy() - third.entropy()),
    }


@check("gaussian-conditional", route="blocks of the inverse covariance", tolerance=1e-12)
def conditional_by_precision(case: Case) -> float:
    """Mean and covariance of what is unknown by the precision matrix, and by regression."""
    root = np.tril(case.rng.uniform(-0.5, 0.5, (5, 5))) + np.diag(case.rng.uniform(0.6, 1.2, 5))
    C, m = root @ root.T, case.rng.normal(0.4, 1.0, 5)
    known = np.isin(np.arange(5), case.choose([(0, 3), (1,), (0, 2, 4), (1, 2, 3, 4)]))
    values = case.rng.standard_normal(int(known.sum()))
    found = Gaussian(m, C).conditional(known, values)
    P = np.linalg.inv(C)
    own, cross = P[np.ix_(~known, ~known)], P[np.ix_(~known, known)]
    mean = m[~known] - np.linalg.solve(own, cross @ (values - m[known]))
    schedule = LinearVP()
    covariance = found.covariance(schedule, np.zeros((1, found.size)), 1.0)[0]
    left = np.linalg.inv(own)  # as it is; from x_1 it is a little less
    alpha, sigma = scales(schedule, 1.0)
    seen = np.linalg.inv(np.linalg.inv(left) + (alpha / sigma) ** 2 * np.eye(found.size))
    return max(relative(found.mean, mean), relative(covariance, seen))
