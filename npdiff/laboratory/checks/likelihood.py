"""Checks of the whole bound, and of what a density is worth in bits."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.backend import to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.checks.decoders import bin_mass, end_mass
from npdiff.laboratory.registry import Case, check, relative
from npdiff.likelihood import bound, dequantize, dequantized_bits
from npdiff.objective.bound import last_variance, prior_variance
from npdiff.random import Key
from npdiff.schedules import EDM, DiscreteSchedule, LinearVP, Schedule, Times


def joint(
    schedule: Schedule, timesteps: np.ndarray, mean: float, variance: float, of_step: np.ndarray
) -> float:
    """E[-log p(x_0, ..., x_T)] + E[log q(x_1, ..., x_T | x_0)] for normal data in one dimension.

    All variables are jointly normal under q and under the model, whose estimate is perfect: two
    means and two covariance matrices, ordered from the data to the noise.
    """
    ascending = timesteps[::-1]
    alpha, sigma = schedule.alpha(ascending), schedule.sigma(ascending)
    q_mean = alpha * mean
    q_cov = np.empty((timesteps.size, timesteps.size))
    for i, j in np.ndindex(q_cov.shape):
        low, high = min(i, j), max(i, j)
        shared = sigma[low] ** 2 * alpha[high] / alpha[low]
        q_cov[i, j] = alpha[i] * alpha[j] * variance + shared
    n = timesteps.size
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
        [DiscreteSchedule(np.array([0.05, 0.1, 0.2, 0.4, 0.6])), EDM(sigma_max=5.0), LinearVP()]
    )
    timesteps = np.linspace(schedule.t_max, 0.0, 6)
    mean, variance = case.rng.uniform(0.3, 1.0), case.rng.uniform(0.2, 2.0)
    s, t = timesteps[:0:-1], timesteps[-2::-1]
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
        data.denoiser(schedule), schedule, x_0, timesteps, lambda i: noise,
        variance=chosen, decoder="density",
    )  # fmt: skip
    total = sum(case.array(weights) @ term.nats for term in terms)
    return relative(total, joint(schedule, timesteps, mean, variance, of_step))


def byte_mass(mean: float, deviation: float, x: float) -> float:
    """log of a Gaussian's mass on the bin of a byte."""
    if abs(x) == 1.0:
        return end_mass(mean, deviation, x)
    return bin_mass(mean, deviation, x, 1 / 255)


@check("bound", "bound-decoder", route="loops over bins and softmaxes", tolerance=1e-9, cases=5)
def terms_of_bytes(case: Case) -> float:
    """The last term for bytes, by both decoders, and the times and variances of all of them."""
    from scipy.special import log_softmax

    schedule = DiscreteSchedule(np.array([1e-4, 3e-3, 0.2, 0.9]))
    byte = case.rng.integers(1, 255, (2, 3))
    byte[:, 0] = 0, 255
    x_0, noise = byte / 127.5 - 1.0, case.rng.standard_normal((2, 3))
    alpha, sigma = float(schedule.alpha(1.0)), float(schedule.sigma(1.0))

    def denoise(x: np.ndarray, t: Times) -> tuple[np.ndarray, np.ndarray]:
        return 0.99 * x_0 + 1e-3 * np.sin(x), x

    def spread(x: np.ndarray, s: float, t: float) -> np.ndarray:
        return 1e-4 * (1.0 + t + s + np.cos(x))

    variance: Any
    variance, decoder = case.choose(
        [
            ("small", "gaussian"),
            ("large", "gaussian"),
            (spread, "gaussian"),
            ("small", "categorical"),
            ("large", "density"),
        ]
    )
    timesteps = np.array([4.0, 2.0, 1.0, 0.0])
    terms = list(
        bound(
            denoise, schedule, x_0, timesteps, lambda i: noise, variance=variance, decoder=decoder
        )
    )
    x_1 = alpha * x_0 + sigma * noise
    if decoder == "categorical":
        logits = -0.5 * ((x_1[..., None] - alpha * (np.arange(256) / 127.5 - 1)) / sigma) ** 2
        chosen = np.take_along_axis(log_softmax(logits, axis=-1), byte[..., None], -1)[..., 0]
    else:
        small = float(3e-3 * 1e-4 / (1.0 - (1.0 - 1e-4) * (1.0 - 3e-3)))
        of_step = {"small": small, "large": 1e-4}.get(str(variance), spread(x_1, 0.0, 1.0))
        deviation = np.sqrt(of_step + 0.0 * x_0)
        estimate, _ = denoise(x_1, 1.0)
        if decoder == "density":
            off = (x_0 - estimate) / deviation
            chosen = -0.5 * off**2 - np.log(deviation) - 0.5 * np.log(2.0 * np.pi)
        else:
            cells = zip(estimate.ravel(), deviation.ravel(), x_0.ravel(), strict=True)
            chosen = np.array([byte_mass(*map(float, cell)) for cell in cells]).reshape(2, 3)
    moves = np.array([(term.t, term.s) for term in terms])
    steps = np.array([(4.0, 4.0), (4.0, 2.0), (2.0, 1.0), (1.0, 0.0)])
    return max(relative(terms[-1].nats, -chosen.sum(axis=1)), relative(moves, steps))


@check("dequantization", route="the bin each number falls into", tolerance=1e-12)
def bytes_from_their_bins(case: Case) -> float:
    """Rounding finds the byte again, and where in its bin a number lies is uniform."""
    images = case.rng.integers(0, 256, (40, 25), dtype=np.uint8)
    x = dequantize(case.xp.asarray(images), Key(case.index, range(40)), np.float64)
    place = (to_host(x) + 1.0) * 255.0 / 2.0 + 0.5
    byte = np.floor(place)
    part = np.sort((place - byte).ravel())
    even = (np.arange(1000) + 0.5) / 1000
    uneven = float(np.abs(part - even).max()) > 1.95 / np.sqrt(1000)
    return max(relative(byte, images.astype(float)), float(uneven))


@check("dequantized-bits", route="a density that is constant on each bin", tolerance=1e-12, cases=3)
def bits_of_constant_bins(case: Case) -> float:
    """With no loss by Jensen's inequality the bits are -log2 of the bytes' probabilities."""
    width = case.choose([1 / 127.5, 2 / 256, 1 / 256])
    chances = case.rng.dirichlet(np.ones(256), size=(5, 7))
    byte = case.rng.integers(0, 256, (5, 7))
    p = np.take_along_axis(chances, byte[..., None], -1)[..., 0]
    density = np.log(p / width).sum(axis=1)
    found = (
        dequantized_bits(density, 7) if case.index % 3 == 0 else dequantized_bits(density, 7, width)
    )
    return relative(found, -np.log2(p).mean(axis=1))
