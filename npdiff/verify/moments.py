"""Mean and variance of a stochastic sampler's result on normal data: exact, or by a test."""

import math
from collections.abc import Sequence

import numpy as np

from npdiff.exact import Gaussian
from npdiff.verify.convergence import TOLERANCE
from npdiff.verify.problem import EXACT_FOR, NORMAL, CountingNoise, Sampler, TestProblem
from npdiff.verify.report import Finding, deviation

#: The allowed bias of a finite number of steps, as a fraction of the data's standard deviation.
_BIAS = 0.03


def order_deficit(order: float, observed: float) -> float:
    """How far an observed order is below the claimed one; NaN stays NaN."""
    return observed if math.isnan(observed) else max(0.0, order - observed)


def exact_moments(
    run: Sampler, problem: TestProblem, timesteps: np.ndarray, seed: int
) -> tuple[float, float, float, int]:
    r"""Mean and variance of an affine sampler's final state, on normal data.

    The exact denoiser of normal data is affine in x, so a sampler with fixed coefficients is affine
    in its start and in its draws. One batch measures all coefficients: in the first sample all
    noise is 0, in each of the next a single draw is 1, and in the last all draws are random.

    .. math::
        :label: affine-moments

        x_{\text{end}} = a + \sum_i b_i z_i
        \quad\Rightarrow\quad
        \mathbb E\, x_{\text{end}} = a, \qquad \operatorname{Var} x_{\text{end}} = \sum_i b_i^2

    Returns
    -------
    mean, variance : of an element of the state
    residual : deviation of the sample of random draws from the sum of the others
    repeats : how many calls repeated an index
    """
    data, schedule = problem.data, problem.schedule
    assert isinstance(data, Gaussian)
    alpha, sigma = float(schedule.alpha(timesteps[0])), float(schedule.sigma(timesteps[0]))
    mean = alpha * data.mean[0]
    std = math.sqrt(alpha**2 * data.variances[0] + sigma**2)
    counting = CountingNoise(lambda i: np.zeros((1, *problem.shape)))
    problem.run(run, np.full((1, *problem.shape), mean), timesteps, noise=counting)
    size = len(counting.indices) + 3
    position = {index: 2 + k for k, index in enumerate(counting.indices)}
    z = np.random.default_rng(seed).standard_normal(size)

    def unit_draws(i: int) -> np.ndarray:
        draw = np.zeros((size, *problem.shape))
        if i in position:
            draw[position[i]], draw[-1] = 1.0, z[position[i]]
        return draw

    x = np.full((size, *problem.shape), mean)
    x[1], x[-1] = mean + std, mean + z[1] * std
    found = problem.run(run, x, timesteps, noise=unit_draws).astype(np.float64).reshape(size, -1)
    parts = found[1:-1] - found[0]
    residual = deviation(found[0] + z[1:-1] @ parts, found[-1])
    return float(found[0, 0]), float((parts[:, 0] ** 2).sum()), residual, counting.repeats


def given_noise(
    run: Sampler,
    problem: TestProblem,
    end: float,
    counts: Sequence[int],
    order: float | None,
    exact: str | None,
    seed: int,
) -> tuple[list[Finding], dict[str, tuple[float, ...]]]:
    """Findings on a sampler that receives its noise, and the errors of its moments."""
    here = TestProblem(NORMAL, problem.schedule, problem.shape)
    truth = _truth(here, end)
    moments = [exact_moments(run, here, here.timesteps(here.start, end, n), seed) for n in counts]
    scale = (math.sqrt(truth[1]), truth[1])
    errors = [[abs(m[k] - truth[k]) / scale[k] for m in moments] for k in (0, 1)]
    found = [
        Finding(
            "the result is affine in the noise, on normal data", max(m[2] for m in moments), 1e-6,
            "samples depend on each other, or a step length depends on x: try noise='own'",
        ),
        Finding(
            "every draw is used once", float(sum(m[3] for m in moments)), 0.0,
            "a draw that is used twice is not independent",
        ),
    ]  # fmt: skip
    for name, error in zip(("mean", "variance"), errors, strict=True):
        found.append(_moment_finding(name, counts, error, order))
    if exact is not None:
        there = TestProblem(EXACT_FOR[exact], problem.schedule, problem.shape)
        timesteps = there.timesteps(there.start, end, 4)[[0, 2, 3, 4]]
        right = _truth(there, end)
        mean, variance, *_ = exact_moments(run, there, timesteps, seed)
        residual = max(abs(mean - right[0]), abs(variance - right[1])) / right[1]
        name = f"mean and variance are exact for {exact} data"
        hint = "a coefficient belongs to another time, or the variance is another one"
        found.append(Finding(name, residual, 1e-9, hint))
    return found, {"steps": tuple(counts), "mean": tuple(errors[0]), "variance": tuple(errors[1])}


def _moment_finding(
    name: str, counts: Sequence[int], errors: Sequence[float], order: float | None
) -> Finding:
    """The relative error of a moment, and its order."""
    last = errors[-1]
    if order is None or last <= 1e-9:
        return Finding(f"the {name} is right at {counts[-1]} steps", last, _BIAS)
    observed = math.log2(errors[-2] / last) / math.log2(counts[-1] / counts[-2])
    return Finding(
        f"the {name}'s error falls with order {observed:z.2f}, expected at least {order:g}",
        order_deficit(order, observed), TOLERANCE,
        "order 0 means another distribution: a sign, a scale, the square root of a variance",
    )  # fmt: skip


def _truth(problem: TestProblem, end: float) -> tuple[float, float]:
    """Mean and variance of the data's marginal at ``end``."""
    data = problem.data
    assert isinstance(data, Gaussian)
    alpha, sigma = float(problem.schedule.alpha(end)), float(problem.schedule.sigma(end))
    return alpha * float(data.mean[0]), alpha**2 * float(data.variances[0]) + sigma**2


def own_noise(
    run: Sampler, problem: TestProblem, end: float, steps: int, samples: int, false_alarm: float
) -> tuple[list[Finding], list[str]]:
    """Findings on a sampler that draws its noise itself."""
    from scipy import stats

    here = TestProblem(NORMAL, problem.schedule, problem.shape)
    timesteps = here.timesteps(here.start, end, steps)
    mean, variance = _truth(here, end)
    first = _truth(here, here.start)
    z = np.random.default_rng(0).standard_normal((samples, *here.shape))
    x = first[0] + math.sqrt(first[1]) * z
    there = here.run(run, x, timesteps).astype(np.float64).reshape(-1)
    n = there.size
    level = 0.5 * false_alarm  # two tests, each two-sided
    limit = float(stats.norm.isf(0.5 * level)) / math.sqrt(n)
    tails = stats.chi2.ppf([0.5 * level, 1.0 - 0.5 * level], n - 1) / (n - 1)
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
            "a variance instead of its root or the reverse, noise omitted or added twice",
        ),
    ]  # fmt: skip
    notes = [
        f"{n} samples in {steps} steps; the tolerance covers chance, with a false alarm in "
        f"{1 / false_alarm:g} tests, and {_BIAS:.0%} for the finite number of steps"
    ]
    return found, notes
