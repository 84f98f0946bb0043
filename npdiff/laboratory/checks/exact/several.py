"""Checks of several exact distributions at once: limits, samples, entropy."""

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Distribution, FiniteData, Gaussian, Uniform
from npdiff.laboratory.checks._exact_data import BOX, LINE, ONE, PLANE, POINTS, WEIGHTS, fine_rule
from npdiff.laboratory.checks._schedules import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.random import Key
from npdiff.schedules import EDM, SCHEDULES, RectifiedFlow


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
    method="each sample alone, at its time",
    tolerance=1e-12,
    cases=8,
)
def one_time_per_sample(case: Case) -> float:
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
    for k, batch in enumerate(data.denoiser(schedule)(x, t)):
        rows = [data.denoiser(schedule)(x[i : i + 1], float(t[i]))[k] for i in range(3)]
        worst = max(worst, relative(batch, np.concatenate([to_host(row) for row in rows])))
    return worst


DENOISERS = ("gaussian-denoiser", "mixture-denoiser", "finite-denoiser", "uniform-denoiser")


MIXED = (PLANE.weights[:, None] * PLANE.means).sum(axis=0)


OFF = PLANE.means - MIXED


#: A distribution, points where its density is positive, its mean and its covariance.
KNOWN = (
    (ONE.exact(), PLANE.means, ONE.means[0], ONE.covariances[0]),
    (
        PLANE.exact(),
        PLANE.means,
        MIXED,
        np.einsum("k,kij->ij", PLANE.weights, PLANE.covariances + OFF[:, :, None] * OFF[:, None]),
    ),
    (
        FiniteData(POINTS),
        POINTS[:3],
        POINTS.mean(axis=0),
        np.cov(POINTS.T, ddof=0),
    ),
    (
        BOX,
        np.array([[-0.6, 0.21], [1.59, 0.49], [0.3, 0.4]]),
        np.array([0.45, 0.35]),
        np.diag([2.3**2 / 12.0, 0.3**2 / 12.0]),
    ),
)


@check(*DENOISERS, method="the limit without noise", tolerance=1e-13, cases=len(KNOWN))
def denoisers_without_noise(case: Case) -> float:
    """At t = 0 the estimate is x itself, eps_hat is 0, and the posterior variance is 0."""
    data, x, _, _ = case.choose(KNOWN)
    schedule, at = SCHEDULES[case.choose(["vp", "ve", "linear", "edm"])](), case.array(x)
    x_0, eps = data.denoiser(schedule)(at, 0.0)
    left = float(np.abs(to_host(data.covariance(schedule, at, 0.0))).max())
    left = max(left, abs(data.mean_posterior_variance(schedule, 0.0)))
    # along an axis of zero variance the estimate is the mean
    flat = Gaussian([0.5, -0.2], np.array([0.3, 0.0])).denoised(schedule, at, 0.0)
    still = np.stack([x[:, 0], np.full(3, -0.2)], axis=1)
    return max(relative(x_0, x), float(np.abs(to_host(eps)).max()), left, relative(flat, still))


@check(*DENOISERS, method="the limit without signal", tolerance=1e-12, cases=len(KNOWN))
def denoisers_without_signal(case: Case) -> float:
    """At alpha = 0 the posterior of the data is the prior: mean, covariance, variance."""
    data, _, mean, covariance = case.choose(KNOWN)
    schedule, x = RectifiedFlow(), case.rng.standard_normal((2, 2))
    at = case.array(x)
    x_0, eps = data.denoiser(schedule)(at, 1.0)
    normal = -0.5 * (x**2).sum(axis=1) - np.log(2.0 * np.pi)
    return max(
        relative(x_0, np.stack([mean, mean])),
        relative(eps, x),
        relative(data.covariance(schedule, at, 1.0), np.stack([covariance, covariance])),
        relative(data.mean_posterior_variance(schedule, 1.0), np.trace(covariance) / 2.0),
        relative(data.log_density(schedule, at, 1.0), normal),
    )


@check(
    "gaussian-marginal",
    "mixture-density",
    "finite-density",
    "uniform-density",
    method="moments of 200000 samples",
    tolerance=0.04,
    cases=len(KNOWN),
)
def samples_have_the_moments(case: Case) -> float:
    """Mean and covariance of the samples, relative to the largest entry of each."""
    data, _, mean, covariance = case.choose(KNOWN)
    x = data.sample(Key(case.seed, range(200_000), stream=case.check))
    return max(relative(x.mean(axis=0), mean), relative(np.cov(x.T), covariance))


def entropy_from_errors(data: Distribution, most: float) -> float:
    """h(x_0) from the denoising error alone.

    For x seen as sqrt(g) x + noise, the entropy is that of a normal distribution of unit variance
    minus half the integral over g of 1 / (1 + g) - error(g): Guo, Shamai and Verdu's identity.
    """
    schedule = EDM(sigma_max=1e6)  # g is 1 / sigma^2
    logs, weights = fine_rule(-27.0, most, (0.0, 60.0))
    g = np.exp(logs)
    errors = np.array([data.mean_posterior_variance(schedule, float(a**-0.5)) for a in g])
    rest = 0.5 * weights @ (g * (1.0 / (1.0 + g) - errors))
    return float(data.size * (0.5 * np.log(2.0 * np.pi * np.e) - rest))


@check(
    "differential-entropy",
    "gaussian-entropy",
    "uniform-entropy",
    method="the integral of the denoising error over the noise",
    tolerance=1e-8,
    cases=1,
)
def entropy_by_information(case: Case) -> dict[str, float]:
    """A mixture on the line, a Gaussian in the plane, a box."""
    distributions = {
        "differential-entropy": (LINE.exact(), 27.0),
        "gaussian-entropy": (ONE.exact(), 27.0),
        "uniform-entropy": (Uniform([-0.7, 0.2], [1.6, 0.5]), 45.0),
    }
    return {
        k: abs(data.entropy() - entropy_from_errors(data, most))
        for k, (data, most) in distributions.items()
    }
