"""Checks of what denoisers made of denoisers ask: at which state, and at which times."""

from typing import Any

import numpy as np

from npdiff import guidance
from npdiff.backend import Array, namespace, to_host
from npdiff.denoiser import Denoiser, clip_x0, inference_network
from npdiff.laboratory.checks.process import timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.schedules import EDM, LinearVP, RectifiedFlow, Schedule, Times


def speaker(schedule: Schedule, slope: float, rate: float) -> Any:
    """A denoiser whose estimate of the data depends on the state and on the time, sample by sample.

    Its two estimates add up to the state.
    """

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        column = (-1, *(1,) * (x.ndim - 1))
        at = np.broadcast_to(schedule.time(t), x.shape[:1])
        wave, alpha, sigma = (
            namespace(x).asarray(number.reshape(column))
            for number in (np.sin(rate * at), schedule.alpha(at), schedule.sigma(at))
        )
        x_0 = slope * x + wave
        return x_0, (x - alpha * x_0) / sigma

    return denoise


def said(schedule: Schedule, x: np.ndarray, t: np.ndarray, x_0: np.ndarray) -> np.ndarray:
    """The estimate of the data, and the noise that makes up the state with it."""
    alpha, sigma = (c(t).reshape(-1, 1, 1) for c in (schedule.alpha, schedule.sigma))
    return np.stack([x_0, (x - alpha * x_0) / sigma])


@check("clipping", route="estimates of states and times, one by one", tolerance=1e-12)
def clipping_asks_as_it_is_asked(case: Case) -> float:
    """Clipped to [-1, 1] unless told otherwise, whatever the denoiser says there and then."""
    schedule: Schedule = case.choose([LinearVP(), EDM(), RectifiedFlow()])
    t, x = timesteps(case, schedule, 3), case.normal((3, 2, 2))
    found = clip_x0(speaker(schedule, 1.3, 2.0), schedule)(x, t)
    raw = 1.3 * to_host(x) + np.sin(2.0 * t).reshape(3, 1, 1)
    kept = np.array([min(max(number, -1.0), 1.0) for number in raw.ravel()]).reshape(raw.shape)
    expected = said(schedule, to_host(x), t, kept)
    return max(relative(a, b) for a, b in zip(found, expected, strict=True))


@check("guidance-interval", route="sample by sample", tolerance=1e-12, cases=6)
def intervals_of_each_sample(case: Case) -> float:
    """Samples at times of their own: those within hear one denoiser, the others another."""
    schedule: Schedule = case.choose([LinearVP(), EDM(), RectifiedFlow()])
    t, x = timesteps(case, schedule, 5), case.normal((5, 2, 2))
    levels = np.sort(schedule.sigma(t) / schedule.alpha(t))
    low, high = 0.5 * (levels[0] + levels[1]), 0.5 * (levels[3] + levels[4])
    if case.index >= 3:
        low, high = 0.0, float("inf")
    guided, cond = speaker(schedule, 0.7, 1.0), speaker(schedule, -0.4, 3.0)
    found = guidance.guidance_interval(guided, cond, schedule, low, high)(x, t)
    x_0 = np.empty(x.shape)
    for n in range(5):
        within = low < schedule.sigma(t[n]) / schedule.alpha(t[n]) <= high
        slope, rate = (0.7, 1.0) if within else (-0.4, 3.0)
        x_0[n] = slope * to_host(x)[n] + np.sin(rate * t[n])
    expected = said(schedule, to_host(x), t, x_0)
    off = [relative(a, b) for a, b in zip(found, expected, strict=True)]
    for n in range(5):  # at one time for all, only one is asked
        one = guidance.guidance_interval(guided, cond, schedule, low, high)(x, float(t[n]))[0]
        off.append(relative(one[n], x_0[n]))
    return max(off)


@check("label-gradient", route="a classifier whose pullback has three cotangents", tolerance=1e-12)
def gradient_is_the_last_cotangent(case: Case) -> float:
    """A linear classifier of states and times: that of x comes last, as with a module."""
    mix, labels = case.rng.standard_normal((3, 4)), case.rng.integers(4, size=5)
    x, there = case.normal((5, 3)), case.array(mix)

    def classifier(x: Array, t: Times) -> Any:
        return x @ there * float(t), lambda dy: (None, dy, float(t) * dy @ there.T)

    logits = 0.7 * to_host(x) @ mix
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = [0.7 * mix @ (np.eye(4)[k] - p) for k, p in zip(labels, odds, strict=True)]
    return relative(guidance.label_gradient(classifier, labels)(x, 0.7), expected)


@check("solution", route="a module without its pullback", tolerance=1e-15, cases=1)
def plain_modules_are_asked(case: Case) -> float:
    """State, clock and conditions reach a module; the row's equations solve for the estimates."""
    schedule = LinearVP()

    def module(x: Array, timestep: Array, labels: Any) -> Any:
        return x**2 + timestep[:, None] * labels[:, None], None

    x, labels = case.normal((3, 2)), case.array([1.0, -2.0, 0.5])
    denoiser = Denoiser(inference_network(module, labels=labels), schedule, PARAMETERIZATIONS["x0"])
    ticks = schedule.timestep(np.array([0.2, 0.5, 0.9]))
    expected = to_host(x) ** 2 + (ticks * to_host(labels))[:, None]
    return relative(denoiser(x, np.array([0.2, 0.5, 0.9]))[0], expected)


@check("guidance-rescale", "dynamic-thresholding", route="sample by sample", tolerance=1e-11)
def contrast_of_each_sample(case: Case) -> dict[str, float]:
    """Both denoisers are asked at the state and at each sample's time."""
    schedule: Schedule = case.choose([LinearVP(), EDM(), RectifiedFlow()])
    t, x = timesteps(case, schedule, 3), case.normal((3, 2, 2))
    guided, cond = speaker(schedule, 1.7, 1.0), speaker(schedule, -0.4, 3.0)
    strong = 1.7 * to_host(x) + np.sin(t).reshape(3, 1, 1)
    inference_network = -0.4 * to_host(x) + np.sin(3.0 * t).reshape(3, 1, 1)
    found = guidance.rescale_cfg(guided, cond, schedule, 0.6, PARAMETERIZATIONS["x0"])(x, t)
    ratio = np.array(
        [np.std(b) / np.std(a) for a, b in zip(strong, inference_network, strict=True)]
    )
    scaled = said(schedule, to_host(x), t, (0.6 * ratio.reshape(3, 1, 1) + 0.4) * strong)
    flat = case.array(np.full((3, 2, 2), -2.0))  # no spread at all: nothing to be rescaled
    still = guidance.rescale_cfg(
        lambda x, t: (flat, x), cond, schedule, 1.0, PARAMETERIZATIONS["x0"]
    )(x, t)[0]
    bounded = guidance.dynamic_threshold(guided, schedule, 1.0)(x, t)
    most = np.array([max(1.0, np.abs(a).max()) for a in strong]).reshape(3, 1, 1)
    within = said(schedule, to_host(x), t, strong / most)
    return {
        "guidance-rescale": max(
            relative(still, flat), *(relative(a, b) for a, b in zip(found, scaled, strict=True))
        ),
        "dynamic-thresholding": max(relative(a, b) for a, b in zip(bounded, within, strict=True)),
    }
