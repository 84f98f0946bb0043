"""Checks of exact finite data sets."""

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import FiniteData
from npdiff.laboratory.checks._exact_data import POINTS, WEIGHTS, noisy, schedule_and_time
from npdiff.laboratory.registry import Case, check, relative


@check(
    "finite-density",
    "finite-denoiser",
    "finite-covariance",
    "mean-posterior-variance",
    method="Bayes' rule, point by point",
    tolerance=1e-9,
    cases=6,
)
def points_by_bayes(case: Case) -> dict[str, float]:
    """Density and moments in a loop over the points; the variance as a mean over q(x_t)."""
    schedule, t, alpha, sigma = schedule_and_time(case)
    data = FiniteData(POINTS, WEIGHTS)

    def moments(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        p = WEIGHTS / 10.0
        squares = np.array([((x - alpha * a) ** 2).sum() for a in POINTS])
        least = squares.min()
        likelihood = np.exp(-(squares - least) / (2.0 * sigma**2))
        total = sum(p * likelihood)
        responsibilities = p * likelihood / total
        mean = sum(r * a for r, a in zip(responsibilities, POINTS, strict=True))
        second = sum(
            r * np.outer(a - mean, a - mean) for r, a in zip(responsibilities, POINTS, strict=True)
        )
        density = np.log(total) - least / (2.0 * sigma**2) - np.log(2.0 * np.pi * sigma**2)
        return density, mean, second

    x = noisy(case, POINTS[case.index % 4] * 0.8, alpha, sigma)
    density, mean, second = moments(x)
    at = case.array(x[None])
    # The mean over the noise of a point, on a grid other than the package's.
    axis = np.linspace(-8.0, 8.0, 97)
    eps = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    weight = np.exp(-0.5 * (eps**2).sum(axis=1)) / (2.0 * np.pi) * (axis[1] - axis[0]) ** 2
    total = sum(
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
        "mean-posterior-variance": abs(data.mean_posterior_variance(schedule, t) - total / 2.0),
    }
