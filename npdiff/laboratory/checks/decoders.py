"""Checks of what the bound is made of: divergences between Gaussians and the odds of bytes."""

from collections.abc import Callable

import numpy as np

from npdiff.backend import to_host
from npdiff.laboratory.checks.process import a_schedule
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective.bound import decoder_loss
from npdiff.objective.decoder import categorical_log_probability, discretized_gaussian
from npdiff.objective.divergence import gaussian_kl
from npdiff.verify._pullback import PullbackReport, pullback

#: Mean and variance.
Moments = tuple[np.ndarray | float, np.ndarray | float]


def expectation(
    mean: np.ndarray, variance: np.ndarray, f: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """E f(x) under a Gaussian, number by number, exact for polynomials up to degree 9."""
    nodes, shares = np.polynomial.hermite_e.hermegauss(5)
    values = f(mean[..., None] + np.sqrt(variance)[..., None] * nodes)
    return np.asarray((values * shares).sum(axis=-1) / np.sqrt(2.0 * np.pi))


def log_normal_density(x: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """log N(x; mean, variance), one more axis on x."""
    mean, variance = mean[..., None], variance[..., None]
    return -0.5 * ((x - mean) ** 2 / variance + np.log(2.0 * np.pi * variance))


def divergence(p: Moments, q: Moments) -> np.ndarray:
    """KL(p || q) of Gaussians, number by number, as an integral."""
    mean, variance, *other = np.broadcast_arrays(*map(np.asarray, (*p, *q)))
    return expectation(
        mean,
        variance,
        lambda x: log_normal_density(x, mean, variance) - log_normal_density(x, *other),
    )


@check("gaussian-kl", route="Gauss-Hermite quadrature of log p - log q", tolerance=1e-11)
def kl_by_quadrature(case: Case) -> float:
    """The divergence in closed form against its integral."""
    mean, log_v, true_mean, true_log_v = (case.normal((3, 4)) for _ in range(4))
    kl, _ = gaussian_kl(mean, log_v, true_mean=true_mean, true_log_variance=true_log_v)
    host = [to_host(a) for a in (mean, log_v, true_mean, true_log_v)]
    return relative(kl, divergence((host[2], np.exp(host[3])), (host[0], np.exp(host[1]))))


def worst(report: PullbackReport) -> float:
    """What a report on a pullback found, infinite if it is not one at all."""
    return report.worst


@check("gaussian-kl-pullback", route="central differences", tolerance=1e-8)
def kl_pullback_by_differences(case: Case) -> float:
    """The gradient by mean and log-variance."""
    mean, log_v, true_mean, true_log_v = case.rng.standard_normal((4, 3, 2))
    return worst(
        pullback(gaussian_kl, mean, log_v, true_mean=true_mean, true_log_variance=true_log_v)
    )


#: Gauss and Legendre's nodes on [-1, 1] and their shares.
RULE = np.polynomial.legendre.leggauss(200)

#: Standard deviations of a step from far below to far above the width of a bin.
DEVIATIONS = (1e-4, 2e-3, 0.02, 0.15, 0.4, 3.0, 1e3)


def bin_mass(mean: float, deviation: float, x: float, half: float) -> float:
    """log of a Gaussian's mass on [x - half, x + half], by quadrature from its highest point.

    Where nearly all of it is there, by what is not.
    """
    from scipy.special import ndtr

    nodes, shares = RULE
    low, high = (x - half - mean) / deviation, (x + half - mean) / deviation
    if low < -2.0 and high > 2.0:
        return float(np.log1p(-(ndtr(low) + ndtr(-high))))
    top = min(max(0.0, low), high)
    low, high = max(low, top - 12.0), min(high, top + 12.0)
    if top > 0.0:
        high = min(high, top + 40.0 / top)
    if top < 0.0:
        low = max(low, top + 40.0 / top)
    u = 0.5 * (low + high) + 0.5 * (high - low) * nodes
    mass = 0.5 * (high - low) * (shares * np.exp(-0.5 * (u**2 - top**2))).sum()
    return -0.5 * top**2 - 0.5 * np.log(2.0 * np.pi) + np.log(mass)


def nats(found: float, expected: float) -> float:
    """How far a log-probability is off, in nats or of its own size; a thousandth of that near 0.

    Where almost all of the mass is in the bin, the logarithm is minus what is outside, and an edge
    that is known to 16 digits of x is known to 12 of the deviations that it lies off.
    """
    off = abs(found - expected)
    return max(off / max(1.0, -expected), 1e-3 * relative(found, expected))


@check(
    "discretized-gaussian",
    route="Gauss-Legendre quadrature of the density over the bin; the sum over all bytes",
    tolerance=1e-12,
    cases=14,
)
def decoder_by_quadrature(case: Case) -> float:
    """Log-probabilities of bytes, near and far from the mean, under narrow and wide Gaussians."""
    from scipy.special import log_ndtr, logsumexp

    deviation = case.choose(DEVIATIONS)
    mean = case.rng.uniform(-0.9, 0.9, 12)
    byte = case.rng.integers(1, 255, 12)
    byte[:6] = np.clip(np.round(127.5 * (mean[:6] + 1.0)) + case.rng.integers(-3, 4, 6), 1, 254)
    x = byte / 127.5 - 1.0
    log_v = np.full(12, 2.0 * np.log(deviation))
    found, _ = discretized_gaussian(case.array(mean), case.array(log_v), x=case.array(x))
    expected = [bin_mass(m, deviation, b, 1 / 255) for m, b in zip(mean, x, strict=True)]
    ends, _ = discretized_gaussian(
        case.array(np.repeat(mean[:2], 2)), case.array(log_v[:4]), x=case.array([-1.0, 1, -1, 1])
    )
    edges = [s * (s * (1 - 1 / 255) - m) / deviation for m in mean[:2] for s in (-1, 1)]
    every = np.linspace(-1.0, 1.0, 256)
    log_p, _ = discretized_gaussian(
        case.array(np.full(256, mean[0])), case.array(np.full(256, log_v[0])), x=case.array(every)
    )
    return max(
        *(nats(f, e) for f, e in zip(to_host(found), np.array(expected), strict=True)),
        *(relative(f, log_ndtr(-e)) for f, e in zip(to_host(ends), np.array(edges), strict=True)),
        abs(float(logsumexp(to_host(log_p)))),
    )


@check("discretized-gaussian-pullback", route="central differences", tolerance=1e-7, cases=14)
def decoder_pullback_by_differences(case: Case) -> float:
    """The gradient by mean and log-variance: in the bin, beside it and far off, and at the ends."""
    deviation = case.choose([0.002, 0.02, 0.1, 0.19, 0.21, 0.7, 30.0])
    x = np.array([-1.0, 1.0, 51 / 127.5 - 1, 51 / 127.5 - 1, 150 / 127.5 - 1])
    off = np.array([0.4, -0.7, 0.2, -1.3, 1.9 + case.index])
    log_v = np.full(5, 2.0 * np.log(deviation))
    return worst(
        pullback(
            discretized_gaussian, x + off * deviation, log_v, x=x, step=1e-4 * min(1, deviation)
        )
    )


def bin_moments(mean: float, deviation: float, x: float, half: float) -> tuple[float, float]:
    """The mean of z and of z^2 over the bin, z being the distance from the mean in deviations."""
    nodes, shares = RULE
    z = (x - mean + half * nodes) / deviation
    odds = shares * np.exp(-0.5 * (z**2 - (z**2).min()))
    return float((odds * z).sum() / odds.sum()), float((odds * z**2).sum() / odds.sum())


@check(
    "discretized-gaussian-pullback",
    route="moments of the density within the bin, by quadrature",
    tolerance=1e-10,
    cases=10,
)
def decoder_pullback_by_moments(case: Case) -> float:
    """The gradient is a mean over the bin: of z / sqrt(v) by mu, of (z^2 - 1) / 2 by log v."""
    half = 1 / 255
    h = case.choose([0.0002, 0.004, 0.0188, 0.01999, 0.0201, 0.05, 0.3, 0.9, 1.5, 3.0])
    deviation = half / h
    edge = 0.02 / h  # beyond it a bin is too far off for the series
    off = np.array([0.4, 0.97, 0.999, 1.003, 1.4, 3.0]) * max(edge, 1.0) * [1, -1, 1, -1, 1, -1]
    if h > 0.02:
        off = np.array([0.3, -0.8, 1.7, -2.9, 3.8, -6.0])
    x = np.full(6, 150 / 127.5 - 1)
    mean, log_v = x - off * deviation, np.full(6, 2.0 * np.log(deviation))
    _, vjp = discretized_gaussian(case.array(mean), case.array(log_v), x=case.array(x))
    first, second = np.array([bin_moments(m, deviation, x[0], half) for m in mean]).T
    expected = np.stack([first / deviation, 0.5 * (second - 1.0)])
    found = np.stack([to_host(part) for part in vjp(case.array(np.ones(6)))])
    scale = np.stack([np.abs(off) / deviation, 0.5 * (off**2 + 1.0)])
    return relative(found / scale, expected / scale)


@check("categorical-decoder", route="the softmax over all 256 values", tolerance=1e-11, cases=8)
def categorical_by_softmax(case: Case) -> float:
    """VDM's decoder against SciPy's log-softmax of its logits."""
    from scipy.special import log_softmax

    schedule = a_schedule(case)
    t = np.array([schedule.t_min, 2.0 * schedule.t_min, 0.3 * schedule.t_max])
    byte = case.rng.integers(0, 256, (3, 4))
    x_0 = byte / 127.5 - 1.0
    alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
    x_t = alpha * x_0 + sigma * case.rng.standard_normal((3, 4))
    every = np.arange(256) / 127.5 - 1.0
    logits = -0.5 * ((x_t[..., None] - alpha[..., None] * every) / sigma[..., None]) ** 2
    expected = np.take_along_axis(log_softmax(logits, axis=-1), byte[..., None], -1)[..., 0]
    return relative(
        categorical_log_probability(schedule, case.array(x_0), case.array(x_t), t), expected
    )


def end_mass(mean: float, deviation: float, end: float) -> float:
    """log of a Gaussian's mass beyond the inner edge of the lowest or the highest bin."""
    from scipy.special import log_ndtr

    edge = end * (1.0 - 1 / 255)
    return float(log_ndtr(-end * (edge - mean) / deviation))


@check("bound-decoder", route="the sum over numbers of log-probabilities", tolerance=1e-12)
def decoder_loss_by_loop(case: Case) -> float:
    """L_0 against a loop over bins."""
    x_0 = case.rng.integers(1, 255, (2, 2, 2)) / 127.5 - 1.0
    x0_hat = x_0 + 0.02 * case.rng.standard_normal(x_0.shape)
    log_v = 2.0 * np.log(case.rng.uniform(0.003, 0.05, x_0.shape))
    expected = np.zeros(2)
    for i in np.ndindex(2, 2, 2):
        mean, deviation, x = float(x0_hat[i]), float(np.exp(0.5 * log_v[i])), float(x_0[i])
        expected[i[0]] -= bin_mass(mean, deviation, x, 1 / 255)
    return relative(decoder_loss(x_0, x0_hat, log_v), expected)
