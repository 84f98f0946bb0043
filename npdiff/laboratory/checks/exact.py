"""Checks of the distributions whose diffusion is known: Bayes' rule, quadrature, differences."""

from collections.abc import Callable

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import FiniteData, Uniform
from npdiff.laboratory.checks.normal_laws import ONE, PLANE, fine, on_a_grid
from npdiff.laboratory.checks.process import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import SCHEDULES, Schedule

POINTS, WEIGHTS = np.array([[0.3, 1.0], [0.5, -0.4], [-1.2, 0.2], [0.9, 1.1]]), np.arange(1.0, 5.0)


def scales(schedule: Schedule, t: float) -> tuple[float, float]:
    return float(schedule.alpha(t)), float(schedule.sigma(t))


def a_time(case: Case) -> tuple[Schedule, float, float, float]:
    """A schedule, of another kind in every case, and a time in it, with alpha and sigma."""
    names = list(SCHEDULES)
    schedule = SCHEDULES[names[5 * case.index % len(names)]]()
    t = float(timesteps(case, schedule, 3)[case.index % 3])
    return schedule, t, *scales(schedule, t)


def noisy(case: Case, x_0: np.ndarray, alpha: float, sigma: float) -> np.ndarray:
    return alpha * x_0 + sigma * case.rng.standard_normal(x_0.shape)


@check(
    "gaussian-marginal",
    "gaussian-denoiser",
    "gaussian-covariance",
    "gaussian-posterior-variance",
    route="Bayes' rule on a grid of x_0",
    tolerance=1e-10,
    cases=12,
)
def gaussian_by_bayes(case: Case) -> dict[str, float]:
    """Density, mean and covariance against sums of prior times likelihood, correlated data."""
    schedule, t, alpha, sigma = a_time(case)
    data = ONE.exact()
    x = noisy(case, data.mean, alpha, sigma)  # type: ignore[attr-defined]
    log_q, _, mean, covariance = on_a_grid(ONE, alpha, sigma, x)
    at = case.array(x[None])
    return {
        "gaussian-marginal": abs(float(to_host(data.log_density(schedule, at, t))[0]) - log_q),
        "gaussian-denoiser": relative(data.denoised(schedule, at, t), mean[None]),
        "gaussian-covariance": relative(data.covariance(schedule, at, t), covariance[None]),
        "gaussian-posterior-variance": relative(
            data.mean_posterior_variance(schedule, t), np.trace(covariance) / 2.0
        ),
    }


@check(
    "mixture-density",
    "responsibilities",
    "mixture-denoiser",
    "mixture-covariance",
    route="Bayes' rule on a grid of x_0",
    tolerance=1e-9,
    cases=9,
)
def mixture_by_bayes(case: Case) -> dict[str, float]:
    """Density, shares, mean and covariance against sums of prior times likelihood."""
    schedule, t, alpha, sigma = a_time(case)
    data = PLANE.exact()
    x = noisy(case, PLANE.means[case.index % 3] * 0.6, alpha, sigma)
    log_q, shares, mean, covariance = on_a_grid(PLANE, alpha, sigma, x)
    at = case.array(x[None])
    r = data.responsibilities(schedule, at, t)  # type: ignore[attr-defined]
    return {
        "mixture-density": abs(float(to_host(data.log_density(schedule, at, t))[0]) - log_q),
        "responsibilities": relative(r, shares[None]),
        "mixture-denoiser": relative(data.denoised(schedule, at, t), mean[None]),
        "mixture-covariance": relative(data.covariance(schedule, at, t), covariance[None]),
    }


@check(
    "finite-density",
    "finite-denoiser",
    "finite-covariance",
    "mean-posterior-variance",
    route="Bayes' rule, one point after the other",
    tolerance=1e-9,
    cases=6,
)
def points_by_bayes(case: Case) -> dict[str, float]:
    """Density and moments in a plain loop over the points; the spread as a mean over q(x_t)."""
    schedule, t, alpha, sigma = a_time(case)
    data = FiniteData(POINTS, WEIGHTS)

    def moments(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        p = WEIGHTS / 10.0
        squares = np.array([((x - alpha * a) ** 2).sum() for a in POINTS])
        least = squares.min()
        likelihood = np.exp(-(squares - least) / (2.0 * sigma**2))
        total = sum(p * likelihood)
        share = p * likelihood / total
        mean = sum(r * a for r, a in zip(share, POINTS, strict=True))
        second = sum(r * np.outer(a - mean, a - mean) for r, a in zip(share, POINTS, strict=True))
        density = np.log(total) - least / (2.0 * sigma**2) - np.log(2.0 * np.pi * sigma**2)
        return density, mean, second

    x = noisy(case, POINTS[case.index % 4] * 0.8, alpha, sigma)
    density, mean, second = moments(x)
    at = case.array(x[None])
    # The mean over a point's noise, on a grid of it that is another than the package's.
    axis = np.linspace(-8.0, 8.0, 97)
    eps = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    weight = np.exp(-0.5 * (eps**2).sum(axis=1)) / (2.0 * np.pi) * (axis[1] - axis[0]) ** 2
    spread = sum(
        w
        / 10.0
        * weight
        @ to_host(data.posterior_covariance_trace(schedule, case.array(alpha * a + sigma * eps), t))
        for w, a in zip(WEIGHTS, POINTS, strict=True)
    )
    trace = float(to_host(data.posterior_covariance_trace(schedule, at, t))[0])
    return {
        "finite-density": abs(float(to_host(data.log_density(schedule, at, t))[0]) - density),
        "finite-denoiser": relative(data.denoised(schedule, at, t), mean[None]),
        "finite-covariance": max(
            relative(data.covariance(schedule, at, t), second[None]),
            abs(trace - np.trace(second)),
        ),
        "mean-posterior-variance": abs(data.mean_posterior_variance(schedule, t) - spread / 2.0),
    }


Log = Callable[[np.ndarray], np.ndarray]


def gradient(f: Log, x: np.ndarray, h: float = 1e-30) -> np.ndarray:
    """The gradient of f at each row of x by the complex step; h below every digit."""
    steps = 1j * h * np.eye(x.shape[1])
    return np.stack([f(x + step).imag / h for step in steps], axis=-1)


def along(f: Log, axis: int) -> Log:
    """One number of what f answers with."""
    return lambda x: f(x)[:, axis]


@check(
    "tweedie",
    "second-order-tweedie",
    "denoiser-jacobian",
    route="complex step",
    tolerance=1e-7,
    cases=len(SCHEDULES),
)
def derivatives_by_complex_step(case: Case) -> dict[str, float]:
    """Score and Hessian against derivatives of log q; the denoiser's Jacobian against theirs."""
    schedule, t, alpha, sigma = a_time(case)
    prior = case.choose([ONE, PLANE, PLANE])
    data, q = prior.exact(), prior.at(alpha, sigma)
    x = noisy(case, case.rng.standard_normal((4, 2)) * 0.8, alpha, sigma)
    at = case.array(x)
    score = gradient(q.log_density, x)
    hessian = np.stack([gradient(along(q.score, k), x) for k in (0, 1)], axis=1)
    # x_0 = (x + sigma^2 score) / alpha
    jacobian = (np.eye(2) + sigma**2 * hessian) / alpha
    x_0, eps = data.denoiser(schedule)(at, t)
    sums = relative(alpha * to_host(x_0) + sigma * to_host(eps), x)
    return {
        "tweedie": max(
            sums,
            relative(data.score(schedule, at, t), score),
            relative(-to_host(eps) / sigma, score),
        ),
        "second-order-tweedie": relative(data.hessian(schedule, at, t), hessian),
        "denoiser-jacobian": relative(data.jacobian(schedule, at, t), jacobian),
    }


@check(
    "uniform-denoiser",
    "uniform-covariance",
    "uniform-density",
    route="quadrature of Bayes' rule over the box",
    tolerance=1e-10,
    cases=21,
)
def uniform_by_quadrature(case: Case) -> dict[str, float]:
    """Moments and density in the middle, at an edge, and up to 25 deviations outside."""
    schedule, t, alpha, sigma = a_time(case)
    low, high = np.array([-0.7, 0.2]), np.array([1.6, 0.5])
    data = Uniform(low, high)
    place = case.choose([0.4, 1.0, -2.0, 0.0, 12.0, -25.0, 1.0])
    x = alpha * (low + min(max(place, 0.0), 1.0) * (high - low))
    x = x + sigma * (place - min(max(place, 0.0), 1.0) + 0.3 * case.rng.standard_normal(2))
    mean, variance, log_q = np.empty(2), np.empty(2), 0.0
    for d in range(2):
        steep = sigma**2 / alpha / max(abs(x[d] - alpha * low[d]), abs(x[d] - alpha * high[d]))
        width = min(sigma / alpha, steep)
        x_0, w = fine(
            low[d], high[d], (low[d], width), (high[d], width), (x[d] / alpha, sigma / alpha)
        )
        logs = -0.5 * ((x[d] - alpha * x_0) / sigma) ** 2
        p = w * np.exp(logs - logs.max())
        mean[d] = p @ x_0 / p.sum()
        variance[d] = p @ (x_0 - mean[d]) ** 2 / p.sum()
        norm = np.sqrt(2.0 * np.pi) * sigma * (high[d] - low[d])
        log_q += logs.max() + np.log(p.sum() / norm)
    at = case.array(x[None])
    found = to_host(data.covariance(schedule, at, t))[0]
    return {
        "uniform-denoiser": relative(data.denoised(schedule, at, t), mean[None]),
        "uniform-covariance": max(relative(found[d, d], variance[d]) for d in range(2))
        + abs(found[0, 1]),
        "uniform-density": relative(to_host(data.log_density(schedule, at, t))[0], log_q),
    }


@check(
    "uniform-denoiser",
    "uniform-covariance",
    "uniform-density",
    route="the formulas as they are printed",
    tolerance=1e-10,
    cases=6,
)
def uniform_as_printed(case: Case) -> dict[str, float]:
    """Where nothing cancels: noise of a third to three times the segment's length."""
    from scipy.special import ndtr

    schedule = SCHEDULES["edm"]()
    a, b = -0.7, 1.6
    sigma, data = case.choose([0.8, 1.5, 4.0]), Uniform(a, b)
    x = case.rng.uniform(-2.0, 3.0, (5, 1))
    A, B = (a - x) / sigma, (b - x) / sigma  # alpha is 1

    def phi(z: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)

    mass = ndtr(B) - ndtr(A)
    shift = (phi(A) - phi(B)) / mass
    variance = sigma**2 * (1.0 + (A * phi(A) - B * phi(B)) / mass - shift**2)
    at = case.array(x)
    return {
        "uniform-denoiser": relative(data.denoised(schedule, at, sigma), x + sigma * shift),
        "uniform-covariance": relative(data.covariance(schedule, at, sigma), variance[:, :, None]),
        "uniform-density": relative(
            data.log_density(schedule, at, sigma), np.log(mass / (b - a))[:, 0]
        ),
    }


@check(
    "gaussian-marginal",
    "gaussian-denoiser",
    "gaussian-covariance",
    "mixture-denoiser",
    "mixture-covariance",
    "finite-density",
    "finite-denoiser",
    "finite-covariance",
    "uniform-density",
    "uniform-denoiser",
    "uniform-covariance",
    "tweedie",
    "second-order-tweedie",
    "denoiser-jacobian",
    route="each sample alone, at its time",
    tolerance=1e-12,
    cases=8,
)
def one_time_a_sample(case: Case) -> float:
    """A batch in which every sample has its own time, images of two pixels."""
    schedule = a_schedule(case)
    data = case.choose(
        [ONE.exact(), PLANE.exact(), FiniteData(POINTS, WEIGHTS), Uniform([-0.7, 0.2], [1.6, 0.5])]
    )
    t, x = timesteps(case, schedule, 3), case.normal((3, 1, 2))
    worst = 0.0
    for name in ("log_density", "denoised", "covariance", "score", "hessian", "jacobian"):
        method = getattr(data, name)
        alone = [to_host(method(schedule, x[i : i + 1], float(t[i]))) for i in range(3)]
        worst = max(worst, relative(method(schedule, x, t), np.concatenate(alone)))
    for k, whole in enumerate(data.denoiser(schedule)(x, t)):
        rows = [data.denoiser(schedule)(x[i : i + 1], float(t[i]))[k] for i in range(3)]
        worst = max(worst, relative(whole, np.concatenate([to_host(row) for row in rows])))
    return worst
