"""Mean and variance of what a stochastic sampler makes of normal data: exact, or by a test."""

import math
from collections.abc import Sequence

import numpy as np

from npdiff.exact import Gaussian
from npdiff.verify.convergence import TOLERANCE
from npdiff.verify.problem import EXACT_FOR, NORMAL, Draws, Sampler, Trial
from npdiff.verify.report import Finding, deviation

#: How much of the data's standard deviation a finite number of steps may cost or add.
_BIAS = 0.03


def short_of(order: float, slope: float) -> float:
    """How much a measured order is below the one claimed; NaN stays NaN."""
    return slope if math.isnan(slope) else max(0.0, order - slope)


def exact_moments(
    run: Sampler, trial: Trial, timesteps: np.ndarray, seed: int
) -> tuple[float, float, float, int]:
    r"""Mean and variance of where an affine sampler ends, on normal data.

    The perfect denoiser of normal data is affine in x, so a sampler with fixed coefficients is
    affine in its start and in its draws. One batch shows them all: in its first row all noise is 0,
    in each of the next a single draw is 1, and the last has random ones.

    .. math::
        :label: affine-moments

        x_{\text{end}} = a + \sum_i b_i z_i
        \quad\Rightarrow\quad
        \mathbb E\, x_{\text{end}} = a, \qquad \operatorname{Var} x_{\text{end}} = \sum_i b_i^2

    Returns
    -------
    mean, variance : of a number of the state
    residual : how far the row of random draws is from the sum of the others
    repeats : how many draws are used more than once
    """
    data, schedule = trial.data, trial.schedule
    assert isinstance(data, Gaussian)
    alpha, sigma = float(schedule.alpha(timesteps[0])), float(schedule.sigma(timesteps[0]))
    mean = alpha * data.mean[0]
    spread = math.sqrt(alpha**2 * data.variances[0] + sigma**2)
    counted = Draws(lambda i: np.zeros((1, *trial.shape)))
    trial.run(run, np.full((1, *trial.shape), mean), timesteps, noise=counted)
    rows = len(counted.numbers) + 3
    place = {number: 2 + k for k, number in enumerate(counted.numbers)}
    z = np.random.default_rng(seed).standard_normal(rows)

    def one(i: int) -> np.ndarray:
        draw = np.zeros((rows, *trial.shape))
        if i in place:
            draw[place[i]], draw[-1] = 1.0, z[place[i]]
        return draw

    x = np.full((rows, *trial.shape), mean)
    x[1], x[-1] = mean + spread, mean + z[1] * spread
    found = trial.run(run, x, timesteps, noise=one).astype(np.float64).reshape(rows, -1)
    parts = found[1:-1] - found[0]
    residual = deviation(found[0] + z[1:-1] @ parts, found[-1])
    return float(found[0, 0]), float((parts[:, 0] ** 2).sum()), residual, counted.repeats


def given_noise(
    run: Sampler,
    trial: Trial,
    end: float,
    counts: Sequence[int],
    order: float | None,
    exact: str | None,
    seed: int,
) -> tuple[list[Finding], dict[str, tuple[float, ...]]]:
    """The findings on a sampler that is given its noise, and the errors of its moments."""
    here = Trial(NORMAL, trial.schedule, trial.shape)
    truth = _truth(here, end)
    moments = [exact_moments(run, here, here.grid(here.start, end, n), seed) for n in counts]
    scale = (math.sqrt(truth[1]), truth[1])
    errors = [[abs(m[k] - truth[k]) / scale[k] for m in moments] for k in (0, 1)]
    found = [
        Finding(
            "the end is affine in the noise, on normal data", max(m[2] for m in moments), 1e-6,
            "samples see each other, or a step length depends on x: try noise='own'",
        ),
        Finding(
            "every draw is used once", float(sum(m[3] for m in moments)), 0.0,
            "the same noise twice is not independent",
        ),
    ]  # fmt: skip
    for name, error in zip(("mean", "variance"), errors, strict=True):
        found.append(_falls(name, counts, error, order))
    if exact is not None:
        there = Trial(EXACT_FOR[exact], trial.schedule, trial.shape)
        timesteps = there.grid(there.start, end, 4)[[0, 2, 3, 4]]
        right = _truth(there, end)
        mean, variance, *_ = exact_moments(run, there, timesteps, seed)
        residual = max(abs(mean - right[0]), abs(variance - right[1])) / right[1]
        name = f"mean and variance are exact for {exact} data"
        hint = "a coefficient is that of another time, or the variance is another one"
        found.append(Finding(name, residual, 1e-9, hint))
    return found, {"steps": tuple(counts), "mean": tuple(errors[0]), "variance": tuple(errors[1])}


def _falls(
    name: str, counts: Sequence[int], errors: Sequence[float], order: float | None
) -> Finding:
    """The error of a moment, in units of the truth, and its slope."""
    last = errors[-1]
    if order is None or last <= 1e-9:
        return Finding(f"the {name} is right at {counts[-1]} steps", last, _BIAS)
    slope = math.log2(errors[-2] / last) / math.log2(counts[-1] / counts[-2])
    return Finding(
        f"the {name}'s error falls with order {slope:z.2f}, at least {order:g}",
        short_of(order, slope), TOLERANCE,
        "order 0 is another distribution: a sign, a scale, the square root of a variance",
    )  # fmt: skip


def _truth(trial: Trial, end: float) -> tuple[float, float]:
    """Mean and variance of the data's marginal at ``end``."""
    data = trial.data
    assert isinstance(data, Gaussian)
    alpha, sigma = float(trial.schedule.alpha(end)), float(trial.schedule.sigma(end))
    return alpha * float(data.mean[0]), alpha**2 * float(data.variances[0]) + sigma**2


def own_noise(
    run: Sampler, trial: Trial, end: float, steps: int, samples: int, false_alarm: float
) -> tuple[list[Finding], list[str]]:
    """The findings on a sampler that draws its own noise."""
    from scipy import stats

    here = Trial(NORMAL, trial.schedule, trial.shape)
    timesteps = here.grid(here.start, end, steps)
    mean, variance = _truth(here, end)
    first = _truth(here, here.start)
    z = np.random.default_rng(0).standard_normal((samples, *here.shape))
    x = first[0] + math.sqrt(first[1]) * z
    there = here.run(run, x, timesteps).astype(np.float64).reshape(-1)
    n = there.size
    share = 0.5 * false_alarm  # two tests, each two-sided
    limit = float(stats.norm.isf(0.5 * share)) / math.sqrt(n)
    tails = stats.chi2.ppf([0.5 * share, 1.0 - 0.5 * share], n - 1) / (n - 1)
    width = float(np.abs(np.sqrt(tails) - 1.0).max())
    deviation_ = math.sqrt(variance)
    found = [
        Finding(
            "the mean is right, in standard deviations",
            abs(there.mean() - mean) / deviation_, limit + _BIAS,
        ),
        Finding(
            "the standard deviation is right, as a ratio",
            abs(there.std(ddof=1) / deviation_ - 1.0), width + _BIAS,
            "a variance for its root or the other way round, noise left out or added twice",
        ),
    ]  # fmt: skip
    notes = [
        f"{n} numbers in {steps} steps; allowed are chance, with a false alarm in "
        f"{1 / false_alarm:g} tests, and {_BIAS:.0%} for the finite number of steps"
    ]
    return found, notes
