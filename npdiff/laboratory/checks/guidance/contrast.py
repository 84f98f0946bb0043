"""Checks of guidance rescaling and dynamic thresholding, by plain loops."""

import math

import numpy as np

from npdiff import guidance
from npdiff.backend import Array, to_host
from npdiff.laboratory.checks._class_mixtures import time_in_schedule
from npdiff.laboratory.checks._schedules import timesteps
from npdiff.laboratory.checks._varying_denoiser import estimates, varying_denoiser
from npdiff.laboratory.registry import Case, check, relative
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.schedules import EDM, SCHEDULES, LinearVP, RectifiedFlow, Schedule


def _state_and_estimates(
    case: Case, shape: tuple[int, ...], scales: tuple[float, float]
) -> list[Array]:
    """x_t and the estimates of two denoisers, consistent with x_t."""
    alpha, sigma = scales
    x = case.normal(shape)
    guided, cond = (0.4 + 1.7 * case.normal(shape) for _ in range(2))
    return [x, guided, (x - alpha * guided) / sigma, cond, (x - alpha * cond) / sigma]


@check(
    "guidance-rescale",
    method="sums over each sample in a loop; estimates by linear algebra",
    tolerance=1e-11,
    cases=2 * len(SCHEDULES),
)
def rescale_by_loops(case: Case) -> float:
    """Rescaled estimates against standard deviations summed in a loop and a 2 x 2 system."""
    schedule, t, (alpha, sigma) = time_in_schedule(case)
    x, *estimates = _state_and_estimates(case, (4, 2, 3), (alpha, sigma))
    name = ("x0", "v", "eps")[case.index // 2 % 3]
    a, b = {"x0": (1.0, 0.0), "v": (-sigma, alpha), "eps": (0.0, 1.0)}[name]
    phi = (1.0, float(case.rng.uniform(0.2, 0.8)), 0.0, 0.7)[case.index % 4]
    guided, cond = ((estimates[i], estimates[i + 1]) for i in (0, 2))
    if name == "x0":  # a constant sample stays, one of small deviation is rescaled
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

    def standard_deviation(values: np.ndarray) -> float:
        mean = math.fsum(values.flat) / values.size
        return math.sqrt(math.fsum((v - mean) ** 2 for v in values.flat) / values.size)

    outputs = [a * to_host(x_0) + b * to_host(eps) for x_0, eps in (guided, cond)]
    expected = np.empty((2, *x.shape))
    for n, (strong, weak) in enumerate(zip(*outputs, strict=True)):
        deviation = standard_deviation(strong)
        ratio = standard_deviation(weak) / deviation if deviation > 0.0 else 1.0
        output = phi * strong * ratio + (1.0 - phi) * strong
        system = np.array([[alpha, sigma], [a, b]])
        rhs = np.stack([to_host(x)[n].ravel(), output.ravel()])
        expected[:, n] = np.linalg.solve(system, rhs).reshape(2, *output.shape)
    return max(relative(f, e) for f, e in zip(found, expected, strict=True))


@check(
    "dynamic-thresholding",
    method="sorting each sample, clipping element by element",
    tolerance=1e-11,
    cases=2 * len(SCHEDULES),
)
def thresholding_by_sorting(case: Case) -> float:
    """Thresholded estimates against a loop over sorted elements; also of samples within [-1, 1]."""
    schedule, t, (alpha, sigma) = time_in_schedule(case)
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


@check("guidance-rescale", "dynamic-thresholding", method="sample by sample", tolerance=1e-11)
def contrast_of_each_sample(case: Case) -> dict[str, float]:
    """Both denoisers are evaluated at the state and at the time of each sample."""
    schedule: Schedule = case.choose([LinearVP(), EDM(), RectifiedFlow()])
    t, x = timesteps(case, schedule, 3), case.normal((3, 2, 2))
    guided, cond = varying_denoiser(schedule, 1.7, 1.0), varying_denoiser(schedule, -0.4, 3.0)
    strong = 1.7 * to_host(x) + np.sin(t).reshape(3, 1, 1)
    weak = -0.4 * to_host(x) + np.sin(3.0 * t).reshape(3, 1, 1)
    found = guidance.rescale_cfg(guided, cond, schedule, 0.6, PARAMETERIZATIONS["x0"])(x, t)
    ratio = np.array([np.std(b) / np.std(a) for a, b in zip(strong, weak, strict=True)])
    scaled = estimates(schedule, to_host(x), t, (0.6 * ratio.reshape(3, 1, 1) + 0.4) * strong)
    flat = case.array(np.full((3, 2, 2), -2.0))  # constant: nothing to rescale
    still = guidance.rescale_cfg(
        lambda x, t: (flat, x), cond, schedule, 1.0, PARAMETERIZATIONS["x0"]
    )(x, t)[0]
    bounded = guidance.dynamic_threshold(guided, schedule, 1.0)(x, t)
    most = np.array([max(1.0, np.abs(a).max()) for a in strong]).reshape(3, 1, 1)
    within = estimates(schedule, to_host(x), t, strong / most)
    return {
        "guidance-rescale": max(
            relative(still, flat), *(relative(a, b) for a, b in zip(found, scaled, strict=True))
        ),
        "dynamic-thresholding": max(relative(a, b) for a, b in zip(bounded, within, strict=True)),
    }
