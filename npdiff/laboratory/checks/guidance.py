"""Guidance: scores of guided densities by complex steps, and each recipe by plain loops."""

import math

import numpy as np

from npdiff import guidance
from npdiff.backend import Array, to_host
from npdiff.denoiser import Denoise
from npdiff.exact import Gaussian
from npdiff.laboratory.checks.tilted import (
    BROAD,
    NARROW,
    gradient,
    log_density,
    mixture,
    moment,
    points,
    scores,
)
from npdiff.laboratory.registry import Case, check, relative
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.schedules import RectifiedFlow, Schedule, Times


def _pair(schedule: Schedule) -> tuple[Denoise, Denoise]:
    return mixture(NARROW).denoiser(schedule), mixture(BROAD).denoiser(schedule)


@check(
    "classifier-free-guidance",
    "guided-density",
    route="complex steps on the logarithm of the tilted density of two mixtures",
    tolerance=1e-10,
    cases=24,
)
def guided_score_is_that_of_the_tilted_density(case: Case) -> float:
    """The guided score, of two mixtures, against the gradient of w log p + (1 - w) log q."""
    schedule, t, scales = moment(case)
    x = points(case, scales)
    w = case.rng.uniform(-0.5, 5.0, 5) if case.index % 2 else float(case.rng.uniform(1.5, 8.0))
    cond, uncond = _pair(schedule)
    found = scores(schedule, guidance.classifier_free(cond, uncond, w), x, t)

    def log_tilted(x: np.ndarray) -> np.ndarray:
        return w * log_density(NARROW, scales, x) + (1.0 - w) * log_density(BROAD, scales, x)

    expected = gradient(log_tilted, to_host(x))
    return relative(found, np.stack([expected, expected]))


@check(
    "paper-guidance-scale",
    route="both conventions written out, on arbitrary estimates",
    tolerance=1e-13,
    cases=8,
)
def two_conventions_of_w(case: Case) -> float:
    """Guidance by the paper's scale against (1 + w) cond - w uncond."""
    a, b, c, d = (case.normal((4, 3)) for _ in range(4))
    w = float(case.choose([0.0, -1.0, 0.5, 3.0])) if case.index < 4 else case.rng.normal(2, 1, 4)
    scale = guidance.from_paper_scale(w)
    found = guidance.classifier_free(lambda x, t: (a, b), lambda x, t: (c, d), scale)(a, 1.0)
    column = np.reshape(w, (-1, 1))
    expected = [
        (1.0 + column) * to_host(cond) - column * to_host(uncond)
        for cond, uncond in ((a, c), (b, d))
    ]
    return relative(np.stack([to_host(f) for f in found]), np.stack(expected))


@check(
    "autoguidance",
    route="precision matrices of two Gaussians of one mean, weighted w and 1 - w",
    tolerance=1e-10,
    cases=12,
)
def autoguidance_of_gaussians(case: Case) -> float:
    """A Gaussian guided by a broader one against the Gaussian whose precision is their mixture."""
    schedule, t, (alpha, sigma) = moment(case)
    mean = np.array([0.7, -0.4])
    sharp, broad = np.array([[0.5, 0.2], [0.2, 0.3]]), np.array([[1.5, 0.1], [0.1, 0.9]])
    w = float(case.rng.uniform(1.2, 3.0))
    model, worse = (Gaussian(mean, c).denoiser(schedule) for c in (sharp, broad))
    x = points(case, (alpha, sigma))
    found = scores(schedule, guidance.autoguidance(model, worse, w), x, t)
    p, q = (np.linalg.inv(alpha**2 * c + sigma**2 * np.eye(2)) for c in (sharp, broad))
    expected = -(to_host(x) - alpha * mean) @ (w * p + (1.0 - w) * q)
    return relative(found, np.stack([expected, expected]))


def _answers(case: Case, shape: tuple[int, ...], scales: tuple[float, float]) -> list[Array]:
    """x_t and the estimates of two denoisers that add up to it."""
    alpha, sigma = scales
    x = case.normal(shape)
    guided, cond = (0.4 + 1.7 * case.normal(shape) for _ in range(2))
    return [x, guided, (x - alpha * guided) / sigma, cond, (x - alpha * cond) / sigma]


@check(
    "guidance-rescale",
    route="sums over each sample in a loop; both estimates by linear algebra",
    tolerance=1e-11,
    cases=18,
)
def rescale_by_loops(case: Case) -> float:
    """Rescaled estimates against standard deviations summed in a loop and a 2 x 2 system."""
    schedule, t, (alpha, sigma) = moment(case)
    x, *estimates = _answers(case, (4, 2, 3), (alpha, sigma))
    name = ("x0", "v", "eps")[case.index // 2 % 3]
    a, b = {"x0": (1.0, 0.0), "v": (-sigma, alpha), "eps": (0.0, 1.0)}[name]
    phi = (1.0, float(case.rng.uniform(0.2, 0.8)), 0.0, 0.7)[case.index % 4]
    guided, cond = ((estimates[i], estimates[i + 1]) for i in (0, 2))
    if name == "x0":  # a sample without spread stays, one with little is rescaled
        column = case.array([0.0, 1e-9, 1.0, 1.0]).reshape(4, 1, 1)
        flat = 3.0 + column * guided[0]
        guided = (flat, (x - alpha * flat) / sigma)
    rest = {} if phi == 0.7 else {"phi": phi}
    found = guidance.rescale_cfg(
        lambda x, t: guided,
        lambda x, t: cond,
        schedule,
        parameterization=PARAMETERIZATIONS[name],
        **rest,
    )(x, t)

    def spread(values: np.ndarray) -> float:
        mean = math.fsum(values.flat) / values.size
        return math.sqrt(math.fsum((v - mean) ** 2 for v in values.flat) / values.size)

    outputs = [a * to_host(x_0) + b * to_host(eps) for x_0, eps in (guided, cond)]
    expected = np.empty((2, *x.shape))
    for n, (strong, inference_network) in enumerate(zip(*outputs, strict=True)):
        ratio = spread(inference_network) / spread(strong) if spread(strong) > 0.0 else 1.0
        output = phi * strong * ratio + (1.0 - phi) * strong
        system = np.array([[alpha, sigma], [a, b]])
        rhs = np.stack([to_host(x)[n].ravel(), output.ravel()])
        expected[:, n] = np.linalg.solve(system, rhs).reshape(2, *output.shape)
    return max(relative(f, e) for f, e in zip(found, expected, strict=True))


@check(
    "dynamic-thresholding",
    route="each sample sorted, its quantile interpolated and its elements clipped one by one",
    tolerance=1e-11,
    cases=18,
)
def thresholding_by_sorting(case: Case) -> float:
    """Thresholded estimates against a loop over sorted elements; also of samples within [-1, 1]."""
    schedule, t, (alpha, sigma) = moment(case)
    p = float(case.choose([0.5, 0.9, 0.995, 1.0, 0.0, 0.77]))
    size = 2.5 if case.index % 3 else 0.3
    shape = (4, 3, 7) if case.index % 5 else (4, 1)
    x, x_0 = case.normal(shape), size * case.normal(shape)
    rest = {} if p == 0.995 else {"quantile": p}
    found = guidance.dynamic_threshold(lambda x, t: (x_0, x), schedule, **rest)(x, t)
    expected = np.empty((2, *x.shape))
    for n, sample in enumerate(to_host(x_0)):
        ordered = sorted(abs(float(v)) for v in sample.flat)
        place = p * (len(ordered) - 1)
        low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
        s = max(1.0, low + (place % 1.0) * (high - low))
        kept = [math.copysign(min(abs(float(v)), s), v) / s for v in sample.flat]
        expected[0, n] = np.reshape(kept, sample.shape)
        expected[1, n] = (to_host(x)[n] - alpha * expected[0, n]) / sigma
    return max(relative(f, e) for f, e in zip(found, expected, strict=True))


@check(
    "guidance-interval",
    route="a choice for each sample by the ratio of the two scales",
    tolerance=0.0,
    cases=12,
)
def interval_by_cases(case: Case) -> float:
    """Guidance limited to an interval against a choice sample by sample."""
    schedule, _, _ = moment(case)
    t = schedule.t_max * np.linspace(0.05, 0.95, 12)
    level = schedule.sigma(t) / schedule.alpha(t)
    low, high = (0.5 * (level[i] + level[i + 1]) for i in (2, 7))
    if case.index % 2:  # the ends themselves: no noise is outside of (0, ...], no signal inside
        schedule, low, high = RectifiedFlow(), 0.0, math.inf
        t = np.linspace(0.0, 1.0, 12)
        level = np.concatenate([t[:-1] / (1.0 - t[:-1]), [math.inf]])
    x, a, b, c, d = (case.normal((12, 2)) for _ in range(5))
    denoise = guidance.guidance_interval(
        lambda x, t: (a, b), lambda x, t: (c, d), schedule, low, high
    )
    inside = np.array([low < of_sample <= high for of_sample in level])
    expected = [np.where(inside[:, None], *map(to_host, pair)) for pair in ((a, c), (b, d))]
    together = max(relative(f, e) for f, e in zip(denoise(x, t), expected, strict=True))
    alone = [to_host(denoise(x, float(one))[0])[n] for n, one in enumerate(t)]
    return max(together, relative(np.stack(alone), expected[0]))


@check(
    "classifier-free-guidance",
    "guidance-rescale",
    route="both halves of the batch asked one by one, in a loop",
    tolerance=1e-12,
    cases=12,
)
def guidance_in_one_batch(case: Case) -> float:
    """Guidance from a batch of 2N rows, each with a time of its own or not, against a loop."""
    schedule, t, _ = moment(case)
    x, shift = case.normal((3, 5)), case.normal((6, 5))
    timesteps = schedule.t_max * case.rng.uniform(0.2, 0.8, 3) if case.index % 2 else t
    phi, w = float(case.choose([0.0, 0.6, 1.0])), float(case.rng.uniform(1.5, 6.0))

    def both(x: Array, t: Times) -> tuple[Array, Array]:
        alpha, sigma = (np.reshape(c, (-1, 1)) for c in (schedule.alpha(t), schedule.sigma(t)))
        x_0 = shift * (1.0 + 0.0 * x) + x * x * case.array(1.0 / (1.0 + alpha))
        return x_0, (x - case.array(alpha) * x_0) / case.array(sigma)

    found = guidance.batched_cfg(both, schedule, w, phi)(x, timesteps)
    each = np.broadcast_to(timesteps, (3,))
    expected = np.empty((2, 3, 5))
    for n, row in enumerate(to_host(x)):
        alpha, sigma = float(schedule.alpha(each[n])), float(schedule.sigma(each[n]))
        cond, uncond = (to_host(shift)[i] + row * row / (1.0 + alpha) for i in (n, n + 3))
        strong = uncond + w * (cond - uncond)
        expected[0, n] = (phi * np.std(cond) / np.std(strong) + 1.0 - phi) * strong
        expected[1, n] = (row - alpha * expected[0, n]) / sigma
    return max(relative(f, e) for f, e in zip(found, expected, strict=True))
