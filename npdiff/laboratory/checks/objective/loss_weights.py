"""Checks of errors and weights in the units of every parameterization."""

from collections.abc import Callable

import numpy as np

from npdiff.laboratory.checks._schedules import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective import WEIGHTINGS, noise_weight, output_weight
from npdiff.objective.loss_weights import IntegralWeighting
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.schedules import SCHEDULES, RectifiedFlow, Schedule


def outputs(
    schedule: Schedule, x_0: np.ndarray, eps: np.ndarray, t: float
) -> dict[str, np.ndarray]:
    """The target of each parameterization, in the symbols of its paper."""
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    level, x = sigma / alpha, x_0 + sigma / alpha * eps
    total = level**2 + 0.25
    return {
        "eps": eps,
        "x0": x_0,
        "v": alpha * eps - sigma * x_0,
        "score": -eps / sigma,
        "velocity": float(schedule.alpha_dot(t)) * x_0 + float(schedule.sigma_dot(t)) * eps,
        "edm": (x_0 - 0.25 / total * x) / (level * 0.5 / np.sqrt(total)),
    }


@check(
    "error-units",
    "output-weight",
    method="the same two estimates as the target of each paper",
    tolerance=1e-11,
    cases=2 * len(SCHEDULES),
)
def one_error_in_every_unit(case: Case) -> float:
    """The weighted error in each parameterization against the weighted error of eps."""
    schedule = a_schedule(case)
    t = float(timesteps(case, schedule, 1)[0])
    x_0, eps, eps_hat = case.rng.standard_normal((3, 4)) + 0.5
    x_t = schedule.alpha(t) * x_0 + schedule.sigma(t) * eps
    x0_hat = (x_t - schedule.sigma(t) * eps_hat) / schedule.alpha(t)
    found_targets, true_targets = (
        outputs(schedule, x0_hat, eps_hat, t),
        outputs(schedule, x_0, eps, t),
    )
    weighting = WEIGHTINGS[list(WEIGHTINGS)[case.index // 2 % len(WEIGHTINGS)]]
    expected = noise_weight(schedule, weighting, t) * (eps_hat - eps) ** 2
    worst = 0.0
    for name, parameterization in PARAMETERIZATIONS.items():
        found = (
            output_weight(schedule, parameterization, weighting, t)
            * (found_targets[name] - true_targets[name]) ** 2
        )
        worst = max(worst, relative(found, expected))
    return worst


@check("output-weight", method="the limit of vanishing signal", tolerance=1e-6, cases=5)
def weights_without_signal(case: Case) -> float:
    """The weights at alpha = 0 against the weights just before."""
    schedule = RectifiedFlow()
    parameterization, weighting = case.choose(
        [("v", "v"), ("eps", "simple"), ("x0", "x0"), ("edm", "edm"), ("v", "truncated-snr")]
    )
    at_end, before = (
        output_weight(schedule, PARAMETERIZATIONS[parameterization], WEIGHTINGS[weighting], t)
        for t in (1.0, 1.0 - 1e-8)
    )
    return relative(at_end, before)


@check(
    "likelihood-weighting",
    "flow-matching-weight",
    method="central differences of log-SNR, alpha and sigma",
    tolerance=1e-6,
    cases=2 * len(SCHEDULES),
)
def weights_by_differences(case: Case) -> dict[str, float]:
    """g^2 / sigma^2 and the error of the velocity, from differences of the schedule."""
    schedule = a_schedule(case)
    t = timesteps(case, schedule, 3)
    if schedule.steps is not None:
        t = np.floor(t) + 0.5  # between two steps
    h = 1e-5 * t

    def slope(f: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        return (f(t + h) - f(t - h)) / (2.0 * h)

    length = schedule.steps or schedule.t_max - schedule.t_min
    falling = -slope(lambda u: 2.0 * np.log(schedule.alpha(u) / schedule.sigma(u)))
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    # x_dot at fixed x_t, where the error of x_0 is -sigma / alpha times that of eps
    velocity = slope(schedule.sigma) - sigma / alpha * slope(schedule.alpha)
    likelihood = noise_weight(schedule, IntegralWeighting(np.cosh), t)
    expected = np.cosh(2.0 * np.log(alpha / sigma)) * falling * length / 2.0
    flow = noise_weight(schedule, WEIGHTINGS["flow"], t)
    return {
        "likelihood-weighting": relative(likelihood / expected, np.ones(3)),
        "flow-matching-weight": relative(flow / (length * velocity) ** 2, np.ones(3)),
    }
