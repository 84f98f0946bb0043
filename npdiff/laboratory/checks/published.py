"""Checks of the numbers that are taken where nothing is said: those that were published."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from npdiff import samplers, schedules, spacings
from npdiff.backend import to_host
from npdiff.exact import Gaussian
from npdiff.guidance import (
    batched_cfg,
    classifier_free,
    classifier_mean_shift,
    dynamic_threshold,
    rescale_cfg,
)
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective import weightings
from npdiff.schedules import LinearVP, Schedule, betas, flow, laplace
from npdiff.spacings import in_noise_level

#: What makes a schedule, and its numbers.
MAKERS: Mapping[str, tuple[Any, tuple[float, ...]]] = {
    "linear-betas": (betas.linear_betas, (1000, 1e-4, 0.02)),
    "cosine-betas": (betas.cosine_betas, (1000, 0.008, 0.999)),
    "invariant-linear-betas": (betas.invariant_linear_betas, (1000, 1e-4, 0.02)),
    "scaled-linear-betas": (betas.scaled_linear_betas, (1000, 0.00085, 0.012)),
    "zero-terminal-snr": (betas.zero_snr_betas, (1000, 0.00085, 0.012)),
    "sigmoid-alpha-bar": (betas.sigmoid_alpha_bar_betas, (1000, -3.0, 3.0, 1.0, 0.999)),
    "sigmoid-betas": (betas.sigmoid_betas, (1000, 1e-4, 0.02, 6.0)),
    "exponential-alpha-bar": (betas.exponential_betas, (1000, 12.0)),
    "linear-vp": (schedules.LinearVP, (0.1, 20.0)),
    "sub-vp": (schedules.SubVP, (0.1, 20.0)),
    "cosine-alpha-bar": (schedules.Cosine, (0.008, 0.9946)),
    "exploding-variance": (schedules.VE, (0.01, 50.0)),
    "edm-schedule": (schedules.EDM, (80.0, 0.002)),
    "flow-shift": (flow.RectifiedFlow, (1.0,)),
    "laplace-log-snr": (laplace.Laplace, (0.0, 0.5, 10.0)),
    "learned-log-snr": (schedules.Learned, ()),
}


def curve(schedule: Schedule) -> np.ndarray:
    """What a schedule is, at its ends and between them."""
    t = schedule.t_max * np.array([0.003, 0.1, 0.45, 0.8, 0.999])
    ends = [schedule.t_min, schedule.t_max, float(schedule.steps or 0)]
    return np.concatenate([ends, schedule.alpha(t), schedule.sigma(t)])


@check(*MAKERS, route="their papers' numbers, given", tolerance=0.0, cases=1)
def schedules_by_default(case: Case) -> dict[str, float]:
    """A schedule that is told nothing against the same told the numbers of its paper."""
    return {
        label: relative(curve(make()), curve(make(*numbers)))
        for label, (make, numbers) in MAKERS.items()
    }


#: The times at which schedules that are no chains end, and from which they are asked.
ENDS = {
    "linear-vp": (1.0, 1e-3), "sub-vp": (1.0, 1e-3), "cosine-alpha-bar": (1.0, 1e-3),
    "exploding-variance": (1.0, 0.5 * math.log(2.0) / math.log(5000.0)),
    "edm-schedule": (80.0, 0.002), "flow-shift": (1.0, 1e-3),
    "learned-log-snr": (1.0, 1e-3),
}  # fmt: skip


@check(
    *ENDS, "zero-terminal-snr", "log-snr-spacing", "karras-spacing",
    route="their papers' numbers", tolerance=1e-14, cases=1,
)  # fmt: skip
def ends_of_time(case: Case) -> dict[str, float]:
    """Where time ends and begins, slopes there, and a grid of two steps, which stops once."""
    found = {}
    for label, ends in ENDS.items():
        schedule = MAKERS[label][0]()
        found[label] = relative([schedule.t_max, schedule.t_min], ends)
        found[label] += float(schedule.log_sigma_dot(0.0) != np.inf)
    chain = betas.zero_snr_betas(40)  # alpha runs straight to nothing in its last step
    slope = -float(chain.alpha(39.0))
    found["zero-terminal-snr"] = relative(chain.alpha_dot(np.array([39.5, 40.0])), [slope, slope])
    for label, timesteps in (
        ("log-snr-spacing", in_noise_level.log_snr),
        ("karras-spacing", spacings.karras),
    ):
        off = [
            relative(timesteps(schedule, 2), [schedule.t_max, schedule.t_min, 0.0]) > 1e-9
            for schedule in (schedules.LinearVP(), schedules.EDM(), schedules.VE())
        ]
        found[label] = float(any(off))
    return found


#: A sampler's label, its name, and its numbers: what it takes them to be, and other ones.
SAMPLERS: Mapping[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "ddim-step": ("ddim", {"eta": 0.0}, {"eta": 0.1}),
    "dpm-solver-2": ("dpm-solver", {"order": 2, "budget": False}, {"order": 3}),
    "dpm-solver-multistep": ("dpm-solver-multistep", {"order": 2}, {"order": 3}),
    "dpmpp-2m": ("dpmpp-multistep", {"order": 2, "legacy": False}, {"order": 3}),
    "dpmpp-2m-sde": ("dpmpp-sde", {"order": 2, "eta": 1.0}, {"eta": 1.1}),
    "unip": ("unipc", {"order": 2}, {"order": 3}),
    "deis-step": ("deis", {"order": 3}, {"order": 2}),
    "lms-step": ("lms", {"order": 4}, {"order": 3}),
    "euler-ancestral-step": ("euler-ancestral", {"eta": 1.0}, {"eta": 0.9}),
    "dpm2-ancestral-step": ("dpm2-ancestral", {"eta": 1.0}, {"eta": 0.9}),
    "langevin-step": (
        "predictor-corrector", {"snr": 0.16, "corrections": 1}, {"corrections": 2}
    ),
    "edm-churn": (
        "edm", {"s_churn": 0.0, "s_min": 0.0, "s_max": math.inf, "s_noise": 1.0}, {"s_churn": 2.0}
    ),
    "edm-step": (
        "edm", {"s_churn": 3.0, "s_min": 0.0, "s_max": math.inf, "s_noise": 1.0}, {"s_churn": 2.0}
    ),
}  # fmt: skip


@check(*SAMPLERS, route="the same numbers, given", tolerance=0.0, cases=1)
def samplers_by_default(case: Case) -> dict[str, float]:
    """Six steps told nothing against six told everything; other numbers lead elsewhere."""
    schedule, data = LinearVP(), Gaussian([0.7, -0.2], np.array([[0.5, 0.2], [0.2, 0.3]]))
    timesteps = np.append(np.linspace(1.0, 0.05, 6), 0.0)
    start, draws = case.normal((3, 2)), case.normal((200, 3, 2))

    def end(name: str, **options: Any) -> np.ndarray:
        denoise = data.denoiser(schedule)
        steps = samplers.sample(
            name, denoise, schedule, start, timesteps, lambda i: draws[i % 200], **options
        )
        return to_host([step.x for step in steps][-1])

    found = {}
    for label, (name, usual, other) in SAMPLERS.items():
        own = {"s_churn": 3.0} if label == "edm-step" else {}  # without it the rest is idle
        same = relative(end(name, **own), end(name, **usual))
        found[label] = same + float(relative(end(name, **own), end(name, **other)) < 1e-9)
    return found


#: Functions of log-SNR, and their numbers.
WEIGHTS: Mapping[str, tuple[Any, tuple[float, ...]]] = {
    "min-snr": (weightings.min_snr, (5.0,)),
    "p2": (weightings.p2, (1.0, 1.0)),
    "edm-weight": (weightings.edm, (0.5,)),
    "soft-min-snr": (weightings.soft_min_snr, (4.0,)),
    "sigmoid-weight": (weightings.sigmoid, (2.0,)),
}


@check(*WEIGHTS, route="their papers' numbers, given", tolerance=0.0, cases=1)
def weightings_by_default(case: Case) -> dict[str, float]:
    """A weighting that is told nothing against the same told its paper's numbers."""
    log_snr = np.linspace(-8.0, 8.0, 9)
    return {
        label: relative(weight(log_snr), weight(log_snr, *numbers))
        for label, (weight, numbers) in WEIGHTS.items()
    }


@check(
    "log-snr-spacing", "karras-spacing", "guidance-rescale", "dynamic-thresholding",
    route="their papers' numbers, given", tolerance=0.0, cases=1,
)  # fmt: skip
def grids_and_guidance_by_default(case: Case) -> dict[str, float]:
    """Even in log-SNR, rho = 7, phi = 0.7, the 0.995-quantile."""
    schedule, x = LinearVP(), 3.0 * case.normal((2, 40))
    data, other = Gaussian(np.full(40, 2.0), 0.5), Gaussian(np.full(40, -1.0), 2.0)
    strong = classifier_free(data.denoiser(schedule), other.denoiser(schedule), 4.0)
    plain = data.denoiser(schedule)

    def halves(x: Any, t: Any) -> Any:  # the first of a batch with, the rest without a condition
        parts = (plain(x[:2], t), other.denoiser(schedule)(x[2:], t))
        return tuple(case.xp.concatenate(both) for both in zip(*parts, strict=True))

    pair, unscaled = batched_cfg(halves, schedule, 2.0), batched_cfg(halves, schedule, 2.0, 0.0)

    def both(denoise: Any) -> np.ndarray:
        return np.stack([to_host(part) for part in denoise(x, 0.3)])

    return {
        "log-snr-spacing": relative(
            in_noise_level.log_snr(schedule, 9), in_noise_level.log_snr(schedule, 9, rho=1.0)
        ),
        "karras-spacing": relative(
            spacings.karras(schedule, 9), spacings.karras(schedule, 9, rho=7.0)
        ),
        "guidance-rescale": max(
            relative(
                both(rescale_cfg(strong, plain, schedule)),
                both(rescale_cfg(strong, plain, schedule, 0.7)),
            ),
            relative(both(pair), both(unscaled)),
        ),
        "dynamic-thresholding": relative(
            both(dynamic_threshold(strong, schedule)),
            both(dynamic_threshold(strong, schedule, 0.995)),
        ),
    }


@check("classifier-mean-shift", route="a gradient that is not to be asked", tolerance=0.0, cases=1)
def no_gradient_where_no_noise_is_added(case: Case) -> float:
    """The last step of ancestral sampling has no noise, and its mean is not shifted."""
    schedule, timesteps = LinearVP(), np.array([0.8, 0.3, 0.0])
    plain, asked = Gaussian([0.3], 0.4).denoiser(schedule), []

    def gradient(x: Any, t: Any) -> Any:
        asked.append(float(t))
        return 0.0 * x + 1.0

    guided, x = (
        classifier_mean_shift(plain, schedule, gradient, 2.0, timesteps),
        case.normal((3, 1)),
    )
    moved = relative(guided(x, 0.8)[0], plain(x, 0.8)[0]) < 1e-6
    still = relative(guided(x, 0.3)[0], plain(x, 0.3)[0])
    return max(still, float(moved), float(asked != [0.3]))
