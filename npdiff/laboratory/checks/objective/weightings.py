"""Checks of the simple loss and of the weightings."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from npdiff.laboratory.checks._schedules import timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective import Objective, Weighting, loss, output_weight, sample_losses, weightings
from npdiff.objective.weightings import simple, v, x0
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.schedules import Cosine, LinearVP, linear_betas


@check("simple-loss", method="a loop in DDPM's symbols", tolerance=1e-10)
def simple_loss_by_loop(case: Case) -> float:
    """The loss of an arbitrary network against a loop over samples and elements."""
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


@check("simple-loss", method="an error of 0.3 in eps, in every unit", tolerance=1e-12)
def simple_weight_is_one(case: Case) -> float:
    """The loss of an example in each parameterization is its squared error in units of eps."""
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


@check("error-units", "simple-loss", method="the signal-to-noise ratio", tolerance=1e-14)
def weights_of_plain_errors(case: Case) -> float:
    """The error of eps has weight 1; that of the data 1 / SNR; that of v 1 / alpha^2."""
    log_snr = case.rng.uniform(-6.0, 6.0, 5)
    alpha = np.sqrt(1.0 / (1.0 + np.exp(-log_snr)))
    sigma = np.sqrt(1.0 / (1.0 + np.exp(log_snr)))
    return max(
        relative(simple(log_snr), np.ones(5)),
        relative(x0(log_snr), sigma**2 / alpha**2),
        relative(v(log_snr), 1.0 / alpha**2),
    )


#: Weightings, functions of log-SNR, and their default parameters.
WEIGHTS: Mapping[str, tuple[Any, tuple[float, ...]]] = {
    "min-snr": (weightings.min_snr, (5.0,)),
    "p2": (weightings.p2, (1.0, 1.0)),
    "edm-weight": (weightings.edm, (0.5,)),
    "soft-min-snr": (weightings.soft_min_snr, (4.0,)),
    "sigmoid-weight": (weightings.sigmoid, (2.0,)),
}


@check(*WEIGHTS, method="the published parameters given explicitly", tolerance=0.0, cases=1)
def weightings_by_default(case: Case) -> dict[str, float]:
    """A weighting with default parameters against the same with its paper's parameters."""
    log_snr = np.linspace(-8.0, 8.0, 9)
    return {
        label: relative(weight(log_snr), weight(log_snr, *parameters))
        for label, (weight, parameters) in WEIGHTS.items()
    }


#: A weight as a function of SNR and of the noise level.
Published = Callable[[np.ndarray, np.ndarray], np.ndarray]


#: For each label: the weighting, the parameterizations in whose units its paper states it, and the
#: statement as a function of SNR and of the noise level.
PUBLISHED: dict[str, tuple[Weighting, dict[str, Published]]] = {
    "min-snr": (
        lambda r: weightings.min_snr(r, 3.0),
        {
            "x0": lambda snr, _: np.minimum(snr, 3.0),
            "eps": lambda snr, _: np.minimum(snr, 3.0) / snr,
            "v": lambda snr, _: np.minimum(snr, 3.0) / (snr + 1.0),
        },
    ),
    "p2": (
        lambda r: weightings.p2(r, 1.7, 0.6),
        {"eps": lambda snr, _: 1.0 / (1.7 + snr) ** 0.6},
    ),
    "edm-weight": (
        weightings.edm,
        {
            "x0": lambda _, level: (level**2 + 0.5**2) / (level * 0.5) ** 2,
            "edm": lambda snr, _: np.ones_like(snr),
        },
    ),
    "soft-min-snr": (
        weightings.soft_min_snr,
        {"edm": lambda _, level: (level * 0.5) ** 2 / (level**2 + 0.5**2) ** 2},
    ),
    "truncated-snr": (weightings.truncated_snr, {"x0": lambda snr, _: np.maximum(snr, 1.0)}),
}


@check(*PUBLISHED, method="each paper's weight in its units", tolerance=1e-11, cases=3)
def weights_as_published(case: Case) -> dict[str, float]:
    """Weights in units of a parameterization against the published functions of SNR or sigma."""
    schedule = case.choose([linear_betas(), LinearVP(), Cosine()])
    t = timesteps(case, schedule, 7)
    snr = (schedule.alpha(t) / schedule.sigma(t)) ** 2
    return {
        label: max(
            relative(
                output_weight(schedule, PARAMETERIZATIONS[row], weighting, t)
                / published(snr, snr**-0.5),
                1 + 0 * t,
            )
            for row, published in rows.items()
        )
        for label, (weighting, rows) in PUBLISHED.items()
    }
