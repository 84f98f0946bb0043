"""Checks of what networks are trained on: the loss, and its weight in every unit."""

import numpy as np

from npdiff.laboratory.checks.process import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective import WEIGHTINGS, Objective, loss, noise_weight, output_weight, sample_losses
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.schedules import LinearVP, RectifiedFlow, Schedule, linear_betas


def outputs(
    schedule: Schedule, x_0: np.ndarray, eps: np.ndarray, t: float
) -> dict[str, np.ndarray]:
    """What each row stands for, in the words of its paper."""
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
    route="the same two estimates told as any paper's target",
    tolerance=1e-11,
    cases=22,
)
def one_error_in_every_unit(case: Case) -> float:
    """Each row's error, weighted, against the weighted error of eps."""
    schedule = a_schedule(case)
    t = float(timesteps(case, schedule, 1)[0])
    x_0, eps, eps_hat = case.rng.standard_normal((3, 4)) + 0.5
    x_t = schedule.alpha(t) * x_0 + schedule.sigma(t) * eps
    x0_hat = (x_t - schedule.sigma(t) * eps_hat) / schedule.alpha(t)
    said, meant = outputs(schedule, x0_hat, eps_hat, t), outputs(schedule, x_0, eps, t)
    weighting = WEIGHTINGS[list(WEIGHTINGS)[case.index // 2 % len(WEIGHTINGS)]]
    expected = noise_weight(schedule, weighting, t) * (eps_hat - eps) ** 2
    worst = 0.0
    for name, parameterization in PARAMETERIZATIONS.items():
        found = (
            output_weight(schedule, parameterization, weighting, t)
            * (said[name] - meant[name]) ** 2
        )
        worst = max(worst, relative(found, expected))
    return worst


@check("output-weight", route="the limit of ever less signal", tolerance=1e-6, cases=5)
def weights_without_signal(case: Case) -> float:
    """The weights at alpha = 0 against those at a time just before."""
    schedule = RectifiedFlow()
    parameterization, weighting = case.choose(
        [("v", "v"), ("eps", "simple"), ("x0", "x0"), ("edm", "edm"), ("v", "truncated-snr")]
    )
    at_end, before = (
        output_weight(schedule, PARAMETERIZATIONS[parameterization], WEIGHTINGS[weighting], t)
        for t in (1.0, 1.0 - 1e-8)
    )
    return relative(at_end, before)


@check("simple-loss", route="a textbook loop in DDPM's symbols", tolerance=1e-10)
def simple_loss_by_loop(case: Case) -> float:
    """The loss of an arbitrary network against a loop over samples and numbers."""
    schedule = linear_betas()
    x_0 = case.normal((5, 3)) * 0.6 + 0.3
    objective = Objective(schedule, PARAMETERIZATIONS["eps"])
    example = objective.example(x_0, Key(case.index, range(5)))
    bars = np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000))
    total = 0.0
    for n in range(5):
        bar = bars[int(example.t[n]) - 1]
        for d in range(3):
            noisy = np.sqrt(bar) * x_0[n, d] + np.sqrt(1.0 - bar) * example.eps[n, d]
            total = total + (example.eps[n, d] - (noisy**3 - 0.4)) ** 2
    value, _ = loss(example.x_t**3 - 0.4, example=example)
    return relative(value, total / 15)


@check("simple-loss", route="an error of 0.3 in eps, told in every unit", tolerance=1e-12)
def unweighted_is_weighted_by_one(case: Case) -> float:
    """An example of each row weighs as its error does in units of eps."""
    schedule, x_0 = LinearVP(), case.normal((4, 3))
    made = [
        Objective(schedule, parameterization).example(x_0, Key(case.index, range(4)))
        for parameterization in PARAMETERIZATIONS.values()
    ]
    losses, each = [], []
    for parameterization, example in zip(PARAMETERIZATIONS.values(), made, strict=True):
        wrong = parameterization.target(schedule, x_0, example.eps, example.t)
        a, b = (np.reshape(c, (-1, 1)) for c in parameterization.coefficients(schedule, example.t))
        ratio = schedule.sigma(example.t) / schedule.alpha(example.t)
        wrong = wrong + case.array(
            0.3 * (b - a * ratio[:, None])
        )  # eps_hat = eps + 0.3 at the same x_t
        losses.append(float(loss(wrong, example=example)[0]))
        each.append(sample_losses(wrong, example))
    by_sample = relative(np.array(each), np.full((len(losses), 4), 0.09))
    return max(by_sample, relative(np.array(losses), np.full(len(losses), 0.09)))
