"""Checks of the decoders of bytes."""

import numpy as np

from npdiff.backend import to_host
from npdiff.laboratory.checks._schedules import a_schedule
from npdiff.laboratory.checks.objective._quadrature import RULE, bin_mass, worst_error
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective.decoder import categorical_log_probability, discretized_gaussian
from npdiff.schedules import SCHEDULES
from npdiff.verify._pullback import pullback

#: Standard deviations from far below to far above the width of a bin.
DEVIATIONS = (1e-4, 2e-3, 0.02, 0.15, 0.4, 3.0, 1e3)


def nats(found: float, expected: float) -> float:
    """The error of a log-probability, absolute in nats or relative; a thousandth of that near 0.

    Where almost all of the mass is on the bin, the logarithm is minus the mass outside. An edge
    known to 16 digits of x is known to 12 digits of its distance in standard deviations.
    """
    off = abs(found - expected)
    return max(off / max(1.0, -expected), 1e-3 * relative(found, expected))


@check(
    "discretized-gaussian",
    method="Gauss-Legendre quadrature of the density over the bin; the sum over all bytes",
    tolerance=1e-12,
    cases=2 * len(DEVIATIONS),
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


@check("discretized-gaussian-pullback", method="central differences", tolerance=1e-7, cases=14)
def decoder_pullback_by_differences(case: Case) -> float:
    """The gradient in mean and log-variance: in the bin, next to it, far off, and at the ends."""
    deviation = case.choose([0.002, 0.02, 0.1, 0.19, 0.21, 0.7, 30.0])
    x = np.array([-1.0, 1.0, 51 / 127.5 - 1, 51 / 127.5 - 1, 150 / 127.5 - 1])
    off = np.array([0.4, -0.7, 0.2, -1.3, 1.9 + case.index])
    log_v = np.full(5, 2.0 * np.log(deviation))
    return worst_error(
        pullback(
            discretized_gaussian, x + off * deviation, log_v, x=x, step=1e-4 * min(1, deviation)
        )
    )


def bin_moments(mean: float, deviation: float, x: float, half: float) -> tuple[float, float]:
    """E[z] and E[z^2] over the bin, with z the distance from the mean in standard deviations."""
    nodes, weights = RULE
    z = (x - mean + half * nodes) / deviation
    odds = weights * np.exp(-0.5 * (z**2 - (z**2).min()))
    return float((odds * z).sum() / odds.sum()), float((odds * z**2).sum() / odds.sum())


@check(
    "discretized-gaussian-pullback",
    method="moments of the density within the bin, by quadrature",
    tolerance=1e-10,
    cases=10,
)
def decoder_pullback_by_moments(case: Case) -> float:
    """Means over the bin: z / sqrt(v) is the gradient in mu, (z^2 - 1) / 2 that in log v."""
    half = 1 / 255
    h = case.choose([0.0002, 0.004, 0.0188, 0.01999, 0.0201, 0.05, 0.3, 0.9, 1.5, 3.0])
    deviation = half / h
    edge = 0.02 / h  # beyond it a bin is too far away for the series
    off = np.array([0.4, 0.97, 0.999, 1.003, 1.4, 3.0]) * max(edge, 1.0) * [1, -1, 1, -1, 1, -1]
    if h > 0.02:
        off = np.array([0.3, -0.8, 1.7, -2.9, 3.8, -6.0])
    x = np.full(6, 150 / 127.5 - 1)
    mean, log_v = x - off * deviation, np.full(6, 2.0 * np.log(deviation))
    _, f_pullback = discretized_gaussian(case.array(mean), case.array(log_v), x=case.array(x))
    first, second = np.array([bin_moments(m, deviation, x[0], half) for m in mean]).T
    expected = np.stack([first / deviation, 0.5 * (second - 1.0)])
    found = np.stack([to_host(part) for part in f_pullback(case.array(np.ones(6)))])
    scale = np.stack([np.abs(off) / deviation, 0.5 * (off**2 + 1.0)])
    return relative(found / scale, expected / scale)


@check(
    "categorical-decoder",
    method="the softmax over all 256 values",
    tolerance=1e-11,
    cases=len(SCHEDULES),
)
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


@check("discretized-gaussian", method="quadrature; the mirror image", tolerance=1e-11, cases=6)
def bins_far_off_on_either_side(case: Case) -> float:
    """Narrow bins many standard deviations above the mean, and the same below."""
    half, width = 1.0 / 255.0, case.choose([0.015, 0.004, 0.019, 0.03, 0.001, 0.2])
    deviation, far = half / width, np.array([3.0, 11.0, 40.0, 90.0])
    x, log_v = np.full(4, 27 / 127.5), np.full(4, 2.0 * np.log(deviation))
    found = [
        to_host(
            discretized_gaussian(
                case.array(x + side * far * deviation), case.array(log_v), x=case.array(x)
            )[0]
        )
        for side in (1.0, -1.0)
    ]
    expected = np.array([bin_mass(float(x[0] + m * deviation), deviation, x[0], half) for m in far])
    return max(relative(a / expected, np.ones(4)) for a in found)
