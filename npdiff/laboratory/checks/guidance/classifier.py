"""Checks of classifier guidance: scores by complex steps, the ancestral step in betas."""

import math
from typing import Any

import numpy as np

from npdiff import guidance
from npdiff.backend import Array, namespace, to_host
from npdiff.exact import Gaussian
from npdiff.guidance import classifier_mean_shift
from npdiff.laboratory.checks._class_mixtures import (
    BROAD,
    gradient,
    log_class,
    log_density,
    mixture,
    points,
    scores,
    time_in_schedule,
)
from npdiff.laboratory.registry import Case, check, relative
from npdiff.process import posterior_variance, transition
from npdiff.samplers import ddpm
from npdiff.schedules import SCHEDULES, LinearVP, Times, linear_betas


@check(
    "classifier-guidance",
    method="complex steps on log q(x_t) + w log p(k | x_t), the classifier by Bayes' rule",
    tolerance=1e-10,
    cases=2 * len(SCHEDULES),
)
def classifier_guided_score(case: Case) -> float:
    """The guided score of a mixture against a complex step; at w = 1 the component's score."""
    schedule, t, scales = time_in_schedule(case)
    k, x = case.index // 2 % 2, points(case, scales)
    w = np.ones(5) if case.index % 2 else case.rng.uniform(0.3, 4.0, 5)

    def log_class_gradient(x: Array, t: Times) -> Array:
        host = gradient(lambda x: log_class(BROAD, scales, x, k), to_host(x))
        return namespace(x).asarray(host)

    denoise = mixture(BROAD).denoiser(schedule)
    guided = guidance.classifier_guidance(denoise, schedule, log_class_gradient, w)
    found = scores(schedule, guided, x, t)

    def log_guided(x: np.ndarray) -> np.ndarray:
        return log_density(BROAD, scales, x) + w * log_class(BROAD, scales, x, k)

    expected = gradient(log_guided, to_host(x))
    if case.index % 2:
        alone = ([1.0], [BROAD[1][k]], [BROAD[2][k]])
        expected = gradient(lambda x: log_density(alone, scales, x), to_host(x))
    return relative(found, np.stack([expected, expected]))


@check(
    "classifier-mean-shift",
    method="the ancestral step in betas, Algorithm 1 as printed",
    tolerance=1e-11,
    cases=16,
)
def shifted_mean_in_betas(case: Case) -> float:
    """A step of ddpm with shifted mean against the step in betas plus w Sigma gradient."""
    schedule = linear_betas(200, 5e-4, 0.1)
    s, t = sorted(case.rng.choice(np.arange(1, 200), 2, replace=False))
    w, k, x = float(case.rng.uniform(0.5, 4.0)), case.index % 2, case.normal((4, 2))
    large, at_mean = bool(case.index // 2 % 2), bool(case.index // 4 % 2)
    denoise = mixture(BROAD).denoiser(schedule)

    def scales(t: float) -> tuple[float, float]:
        kept = float(np.prod(1.0 - schedule.betas[1 : int(t) + 1]))
        return math.sqrt(kept), math.sqrt(1.0 - kept)

    def class_gradient(x: Array, t: Times) -> Array:
        host = gradient(lambda x: log_class(BROAD, scales(float(t)), x, k), to_host(x))
        return namespace(x).asarray(host)

    guided = guidance.classifier_mean_shift(
        denoise, schedule, class_gradient, w, np.array([float(t), float(s)]), at_mean=at_mean,
        variance=(lambda *of: transition(*of)[1]) if large else posterior_variance,
    )  # fmt: skip
    (step,) = ddpm(
        guided, schedule, x, np.array([float(t), float(s)]),
        variance="large" if large else "small", noise=lambda i: 0.0 * x,
    )  # fmt: skip
    abar_t, abar_s = scales(t)[0] ** 2, scales(s)[0] ** 2
    beta = 1.0 - abar_t / abar_s
    eps = to_host(denoise(x, float(t))[1])
    mean = (to_host(x) - beta / math.sqrt(1.0 - abar_t) * eps) / math.sqrt(1.0 - beta)
    variance = beta if large else (1.0 - abar_s) / (1.0 - abar_t) * beta
    place = (case.array(mean), s) if at_mean else (x, t)
    return relative(step.x, mean + w * variance * to_host(class_gradient(*place)))


@check(
    "label-gradient",
    method="complex steps on the log-softmax of a small network",
    tolerance=1e-12,
    cases=4,
)
def gradient_of_a_label(case: Case) -> float:
    """The gradient of a network's log-probabilities against complex steps."""
    size = (2.0, 500.0)[case.index % 2]  # at 500 the exponentials would overflow
    inner, outer = case.normal((3, 5)), size * case.normal((5, 4))
    x, labels = case.normal((6, 3)), case.rng.integers(0, 4, 6)

    def classifier(x: Array, t: Times) -> object:
        h = namespace(x).tanh(x @ inner)
        return h @ outer, lambda dlogits: (
            "a gradient",
            ((dlogits @ outer.T) * (1.0 - h * h)) @ inner.T,
        )

    def log_probability(x: np.ndarray) -> np.ndarray:
        logits = np.tanh(x @ to_host(inner)) @ to_host(outer)
        logits = logits - logits.real.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        return logits[np.arange(6), labels] - np.log(odds.sum(axis=1))

    found = guidance.label_gradient(classifier, labels)(x, 0.5)
    return relative(found, gradient(log_probability, to_host(x)))


@check("classifier-mean-shift", method="counting gradient evaluations", tolerance=0.0, cases=1)
def no_gradient_where_no_noise_is_added(case: Case) -> float:
    """The last step of ancestral sampling has no noise, and its mean is not shifted."""
    schedule, timesteps = LinearVP(), np.array([0.8, 0.3, 0.0])
    plain, calls = Gaussian([0.3], 0.4).denoiser(schedule), []

    def gradient(x: Any, t: Any) -> Any:
        calls.append(float(t))
        return 0.0 * x + 1.0

    guided, x = (
        classifier_mean_shift(plain, schedule, gradient, 2.0, timesteps),
        case.normal((3, 1)),
    )
    moved = relative(guided(x, 0.8)[0], plain(x, 0.8)[0]) < 1e-6
    still = relative(guided(x, 0.3)[0], plain(x, 0.3)[0])
    return max(still, float(moved), float(calls != [0.3]))


@check("label-gradient", method="a classifier whose pullback has three cotangents", tolerance=1e-12)
def gradient_is_the_last_cotangent(case: Case) -> float:
    """A linear classifier of states and times: the cotangent of x is the last one."""
    mix, labels = case.rng.standard_normal((3, 4)), case.rng.integers(4, size=5)
    x, there = case.normal((5, 3)), case.array(mix)

    def classifier(x: Array, t: Times) -> Any:
        return x @ there * float(t), lambda dy: (None, dy, float(t) * dy @ there.T)

    logits = 0.7 * to_host(x) @ mix
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = [0.7 * mix @ (np.eye(4)[k] - p) for k, p in zip(labels, odds, strict=True)]
    return relative(guidance.label_gradient(classifier, labels)(x, 0.7), expected)
