"""Checks of training's edges: histories half full, losses of single samples, plain weights."""

import numpy as np

from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective import WEIGHTINGS, LogitNormal, LogNormal, LossHistory, Objective, loss
from npdiff.objective.example import sample_losses
from npdiff.objective.weightings import simple, v, x0
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.schedules import LinearVP


@check("second-moment-sampling", route="a history written by hand", tolerance=1e-15, cases=1)
def histories_half_full(case: Case) -> float:
    """Uniform while a time has been seen less than K times or nothing was lost, then not."""
    history = LossHistory.empty(3, 2)
    off = [float(history.losses.any() or LossHistory.empty(4).losses.shape != (4, 10))]
    uniform = np.full(3, 1.0 / 3.0)
    history = history.add(np.array([1.0, 1.0, 2.0, 2.0, 3.0]), np.array([0.0, 0.0, 3.0, 4.0, 6.0]))
    off.append(relative(history.probabilities(), uniform))
    history = history.add(np.array([3.0]), np.array([8.0]))
    # roots of the mean squares: 0, 5 / sqrt 2, 10 / sqrt 2
    off.append(relative(history.probabilities(), [0.001 / 3, 0.333 + 0.001 / 3, 0.666 + 0.001 / 3]))
    lost = LossHistory(np.zeros((3, 2)), np.full(3, 5))
    return max(*off, relative(lost.probabilities(), uniform))


@check("squared-error", route="a loop over samples", tolerance=1e-14)
def losses_of_single_samples(case: Case) -> float:
    """The weighted mean square of each sample, and the mean of them all."""
    objective = Objective(LinearVP(), PARAMETERIZATIONS["v"], WEIGHTINGS["min-snr"])
    shape = case.choose([(3, 2, 2, 1), (3, 4), (3, 5, 2), (3, 1)])
    example = objective.example(case.normal(shape), Key(case.index, range(3)))
    output = case.normal(shape)
    squares = (output - example.target).reshape(3, -1) ** 2
    expected = [float(example.weight[n]) * float(squares[n].mean()) for n in range(3)]
    whole = relative(loss(output, example=example)[0], sum(expected) / 3)
    return max(whole, relative(sample_losses(output, example), expected))


@check("logit-normal", "log-normal-noise", route="the published numbers", tolerance=0.0, cases=1)
def draws_by_default(case: Case) -> dict[str, float]:
    """A standard normal logit; EDM's mean of -1.2 and deviation of 1.2."""
    return {
        "logit-normal": float(LogitNormal() != LogitNormal(0.0, 1.0)),
        "log-normal-noise": float(LogNormal() != LogNormal(-1.2, 1.2)),
    }


@check("error-units", "simple-loss", route="the signal-to-noise ratio", tolerance=1e-14)
def weights_of_plain_errors(case: Case) -> float:
    """The error of eps counts 1; that of the data 1 / SNR; that of v 1 / alpha^2."""
    log_snr = case.rng.uniform(-6.0, 6.0, 5)
    alpha = np.sqrt(1.0 / (1.0 + np.exp(-log_snr)))
    sigma = np.sqrt(1.0 / (1.0 + np.exp(log_snr)))
    return max(
        relative(simple(log_snr), np.ones(5)),
        relative(x0(log_snr), sigma**2 / alpha**2),
        relative(v(log_snr), 1.0 / alpha**2),
    )
