"""Checks of classifier-free guidance and autoguidance: scores of guided densities."""

import numpy as np

from npdiff import guidance
from npdiff.backend import Array, to_host
from npdiff.denoiser import Denoise
from npdiff.exact import Gaussian
from npdiff.laboratory.checks._class_mixtures import (
    BROAD,
    NARROW,
    gradient,
    log_density,
    mixture,
    points,
    scores,
    time_in_schedule,
)
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import SCHEDULES, Schedule, Times


def _pair(schedule: Schedule) -> tuple[Denoise, Denoise]:
    return mixture(NARROW).denoiser(schedule), mixture(BROAD).denoiser(schedule)


@check(
    "classifier-free-guidance",
    "guided-density",
    method="complex steps on the log of the guided density of two mixtures",
    tolerance=1e-10,
    cases=2 * len(SCHEDULES),
)
def guided_score_by_complex_steps(case: Case) -> float:
    """The guided score of two mixtures against the gradient of w log p + (1 - w) log q."""
    schedule, t, scales = time_in_schedule(case)
    x = points(case, scales)
    w = case.rng.uniform(-0.5, 5.0, 5) if case.index % 2 else float(case.rng.uniform(1.5, 8.0))
    cond, uncond = _pair(schedule)
    found = scores(schedule, guidance.classifier_free(cond, uncond, w), x, t)

    def log_guided(x: np.ndarray) -> np.ndarray:
        return w * log_density(NARROW, scales, x) + (1.0 - w) * log_density(BROAD, scales, x)

    expected = gradient(log_guided, to_host(x))
    return relative(found, np.stack([expected, expected]))


@check(
    "paper-guidance-scale",
    method="both conventions written out, on arbitrary estimates",
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
    method="precision matrices of two Gaussians of equal mean, weighted w and 1 - w",
    tolerance=1e-10,
    cases=len(SCHEDULES),
)
def autoguidance_of_gaussians(case: Case) -> float:
    """A Gaussian guided by a broader one against the Gaussian with the combined precision."""
    schedule, t, (alpha, sigma) = time_in_schedule(case)
    mean = np.array([0.7, -0.4])
    sharp, broad = np.array([[0.5, 0.2], [0.2, 0.3]]), np.array([[1.5, 0.1], [0.1, 0.9]])
    w = float(case.rng.uniform(1.2, 3.0))
    model, worse = (Gaussian(mean, c).denoiser(schedule) for c in (sharp, broad))
    x = points(case, (alpha, sigma))
    found = scores(schedule, guidance.autoguidance(model, worse, w), x, t)
    p, q = (np.linalg.inv(alpha**2 * c + sigma**2 * np.eye(2)) for c in (sharp, broad))
    expected = -(to_host(x) - alpha * mean) @ (w * p + (1.0 - w) * q)
    return relative(found, np.stack([expected, expected]))


@check(
    "classifier-free-guidance",
    "guidance-rescale",
    method="the two halves of the batch one by one, in a loop",
    tolerance=1e-12,
    cases=2 * len(SCHEDULES),
)
def guidance_in_one_batch(case: Case) -> float:
    """Guidance from a batch of 2N samples, with one time or one per sample, against a loop."""
    schedule, t, _ = time_in_schedule(case)
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
