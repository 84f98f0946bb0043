"""Checks of exact distributions at the ends: no noise, no signal, far out, and their draws."""

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import FiniteData, Gaussian, Uniform
from npdiff.laboratory.checks.exact import POINTS, scales
from npdiff.laboratory.checks.normal_laws import LINE, ONE, PLANE
from npdiff.laboratory.registry import Case, check, relative
from npdiff.random import Key
from npdiff.schedules import SCHEDULES, LinearVP, RectifiedFlow

DENOISERS = ("gaussian-denoiser", "mixture-denoiser", "finite-denoiser", "uniform-denoiser")
BOX = Uniform([-0.7, 0.2], [1.6, 0.5])
MIXED = (PLANE.weights[:, None] * PLANE.means).sum(axis=0)
OFF = PLANE.means - MIXED
#: Of each distribution: itself, points where it has density, its mean and its covariance.
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


@check(*DENOISERS, route="what there is to know without noise", tolerance=1e-13, cases=len(KNOWN))
def all_is_known_at_the_data(case: Case) -> float:
    """At t = 0 the data are what is seen, and of the noise nothing is known but its mean."""
    data, x, _, _ = case.choose(KNOWN)
    schedule, at = SCHEDULES[case.choose(["vp", "ve", "linear", "edm"])](), case.array(x)
    x_0, eps = data.denoiser(schedule)(at, 0.0)
    left = float(np.abs(to_host(data.covariance(schedule, at, 0.0))).max())
    left = max(left, abs(data.mean_posterior_variance(schedule, 0.0)))
    # where the data do not vary along an axis, they are their mean there
    flat = Gaussian([0.5, -0.2], np.array([0.3, 0.0])).denoised(schedule, at, 0.0)
    still = np.stack([x[:, 0], np.full(3, -0.2)], axis=1)
    return max(relative(x_0, x), float(np.abs(to_host(eps)).max()), left, relative(flat, still))


@check(*DENOISERS, route="what there is to know without signal", tolerance=1e-12, cases=len(KNOWN))
def nothing_is_known_of_pure_noise(case: Case) -> float:
    """Where the signal scale is 0 the data are as they are: mean, covariance, spread."""
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
    route="moments of 200000 draws",
    tolerance=0.04,
    cases=len(KNOWN),
)
def draws_have_the_moments(case: Case) -> float:
    """Mean and covariance of what is drawn, in units of the largest of each."""
    data, _, mean, covariance = case.choose(KNOWN)
    x = data.sample(Key(case.seed, range(200_000), stream=case.check))
    return max(relative(x.mean(axis=0), mean), relative(np.cov(x.T), covariance))


@check("uniform-density", route="one over the volume of the box", tolerance=1e-13)
def the_density_of_the_box(case: Case) -> float:
    """At t = 0: minus the log of the volume within, nothing without."""
    x = np.array([[0.3, 0.4], [1.5, 0.21], [1.7, 0.3], [0.0, 0.1], [0.0, 0.6]])
    found = to_host(BOX.log_density(LinearVP(), case.array(x), 0.0))
    outside = float((found[2:] != -np.inf).any())
    return max(outside, relative(found[:2], np.full(2, -np.log(2.3 * 0.3))))


@check("mixture-density", "responsibilities", route="the nearer tail alone", tolerance=1e-12)
def far_out_one_component_is_left(case: Case) -> dict[str, float]:
    """Where every density is 0 in float64: the wider component has it all, and its logarithm."""
    schedule, t = LinearVP(), 0.05
    alpha, sigma = scales(schedule, t)
    x = case.rng.uniform(40.0, 60.0, (3, 1)) * case.choose([1.0, -1.0])
    data, variance = LINE.exact(), alpha**2 * 0.09 + sigma**2
    expected = np.log(0.6) - 0.5 * (x - alpha * 0.6) ** 2 / variance
    expected = (expected - 0.5 * np.log(2.0 * np.pi * variance))[:, 0]
    r = data.responsibilities(schedule, case.array(x), t)  # type: ignore[attr-defined]
    return {
        "mixture-density": relative(data.log_density(schedule, case.array(x), t), expected),
        "responsibilities": relative(r, np.tile([0.0, 1.0], (3, 1))),
    }


@check("quantile-flow", "flow-in-angle", route="quantiles of the data", tolerance=1e-8, cases=4)
def flows_end_at_the_data(case: Case) -> dict[str, float]:
    """A segment and points on the line, from and to t = 0; points of a product, in the plane."""
    from scipy.special import ndtr

    schedule = SCHEDULES[case.choose(["vp", "edm", "rectified-flow", "cosine"])]()
    t = 2.19 if case.index % 4 == 1 else float(schedule.time_at(0.0))  # EDM's sigma is t
    alpha, sigma = scales(schedule, t)
    segment, line = Uniform(-0.7, 1.6), FiniteData([[0.3], [-1.2], [0.9]], [1.0, 2.0, 5.0])
    x = case.rng.uniform(-0.7, 1.6, (4, 1))
    there = to_host(segment.flow(schedule, case.array(x), 0.0, t))
    nodes, weights = np.polynomial.legendre.leggauss(60)
    data = 0.45 + 1.15 * nodes
    below = 0.5 * weights @ ndtr((there[:, 0] - alpha * data[:, None]) / sigma)
    back = segment.flow(schedule, case.array(there), t, 0.0)
    y = alpha * case.rng.choice([0.3, -1.2, 0.9], (5, 1)) + sigma * case.rng.normal(size=(5, 1))
    share = ndtr((y - alpha * np.array([-1.2, 0.3, 0.9])) / sigma) @ np.array([0.25, 0.125, 0.625])
    place = np.array([-1.2, 0.3, 0.9])[np.searchsorted([0.25, 0.375], share)]
    ends = line.flow(schedule, case.array(y), t, 0.0)
    # a product of two sets of points flows number by number
    other, v = FiniteData([[0.5], [-0.4]], [3.0, 1.0]), alpha * 0.2 + sigma * case.rng.normal()
    plane = FiniteData(
        [[a, b] for a in (0.3, -1.2, 0.9) for b in (0.5, -0.4)], [3.0, 1.0, 6.0, 2.0, 15.0, 5.0]
    )
    z = np.concatenate([y, np.full((5, 1), v)], axis=1)
    found = plane.flow(schedule, case.array(z), t, 0.0)
    parts = [place[:, None], other.flow(schedule, z[:, 1:], t, 0.0)]
    return {
        "quantile-flow": max(
            relative(below, (x[:, 0] + 0.7) / 2.3),
            relative(back, x),
            relative(ends, place[:, None]),
        ),
        "flow-in-angle": relative(found, np.concatenate(parts, axis=1)),
    }
