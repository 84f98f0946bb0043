"""The proof of a forward process: its marginals, its steps and its way back fit one schedule."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from npdiff.backend import to_host
from npdiff.errors import InputError
from npdiff.schedules import Schedule
from npdiff.verify.report import Finding, Findings, called, deviation

_ROWS = 4


def marginals(
    q_sample: Callable[..., Any],
    schedule: Schedule,
    *,
    transition: Callable[..., Any] | None = None,
    posterior: Callable[..., Any] | None = None,
    timesteps: Sequence[float] | None = None,
    per_sample_times: bool = True,
    shape: tuple[int, ...] = (3,),
    tolerance: float = 1e-9,
) -> Findings:
    r"""Whether functions that add noise are those of a schedule.

    All are affine in x and in the noise, so their coefficients are read off: the factor of x_0 is
    alpha_t and that of the noise sigma_t :eq:`marginal`. A step from s to t after the marginal at s
    has to give the marginal at t, in mean and in variance; and the posterior has to be the
    conditional of the two, which is derived here by adding precisions.

    Parameters
    ----------
    q_sample : ``q_sample(x_0, t, noise) -> x_t``; t is a number or (N,)
    schedule : what they should fit; for alpha-bar of your own, ``DiscreteSchedule(betas)``
    transition : ``transition(x_s, s, t, noise) -> x_t``; for one step, ignore s
    posterior : ``posterior(x_0, x_t, s, t) -> (mean, variance)`` of q(x_s | x_t, x_0); variance may
        be a number or an array. DDPM's is the case s = t - 1
    timesteps : ascending; on a chain neighboring whole times are tried, else three in the middle
    per_sample_times : whether t may also be (N,)
    shape : of a sample
    tolerance : relative, of every coefficient

    Returns
    -------
    Findings

    Examples
    --------
    >>> import numpy as np
    >>> from npdiff.schedules import linear_betas
    >>> chain = linear_betas()
    >>> def q_sample(x_0, t, noise):
    ...     return np.sqrt(chain.alpha_bar[t]) * x_0 + np.sqrt(1 - chain.alpha_bar[t]) * noise
    >>> marginals(q_sample, chain, per_sample_times=False).passed
    True
    """
    chain = schedule.steps is not None
    pairs = _pairs(schedule, timesteps)
    zero, one = np.zeros((_ROWS, *shape)), np.ones((_ROWS, *shape))

    def as_time(t: float) -> Any:
        return int(t) if chain and t == int(t) else float(t)

    def factors(f: Callable[[np.ndarray, np.ndarray], Any]) -> tuple[float, float, float]:
        """The factors of the two arguments, and what is left where both are 0."""
        rest = np.asarray(to_host(f(zero, zero)), dtype=np.float64)
        parts = [np.asarray(to_host(f(*p)), dtype=np.float64) for p in ((one, zero), (zero, one))]
        spread = max(float(np.ptp(part - rest)) for part in parts)
        first, second = (float((part - rest).flat[0]) for part in parts)
        return first, second, max(float(np.abs(rest).max()), spread)

    found, alphas, sigmas, rest = [], [], [], 0.0
    at = sorted({t for pair in pairs for t in pair if t > 0.0})
    for t in at:
        alpha, sigma, left = factors(lambda x, z, t=t: q_sample(x, as_time(t), z))  # type: ignore[misc]
        alphas.append(alpha)
        sigmas.append(sigma)
        rest = max(rest, left)
    alpha_t, sigma_t = schedule.alpha(np.array(at)), schedule.sigma(np.array(at))
    hint = _shifted(schedule, at, alphas)
    found += [
        Finding("x_t is linear in x_0 and in the noise", rest, tolerance, "a constant is added"),
        _each("the factor of x_0 is alpha_t", alphas, alpha_t, tolerance, hint),
        _each("the factor of the noise is sigma_t", sigmas, sigma_t, tolerance, hint),
    ]
    if per_sample_times:
        found.append(_mixed_times(q_sample, at, chain, shape, tolerance))
    if transition is not None:
        found += _steps(transition, factors, schedule, pairs, as_time, tolerance)
    if posterior is not None:
        found += _way_back(posterior, factors, schedule, pairs, as_time, tolerance)
    return Findings(f"forward process {called(q_sample)}", tuple(found))


def _pairs(schedule: Schedule, timesteps: Sequence[float] | None) -> list[tuple[float, float]]:
    """Pairs s < t."""
    if timesteps is not None:
        at = [float(t) for t in timesteps]
    elif schedule.steps is not None:
        T = schedule.steps
        ends = {1, 2, 3, T // 2, T // 2 + 1, T - 1, T} if T > 5 else set(range(1, T + 1))
        at = [float(t) for t in sorted(ends)]
    else:
        at = (schedule.t_min + (schedule.t_max - schedule.t_min) * np.linspace(0, 1, 7)).tolist()
    if len(at) < 2 or min(np.diff(at)) <= 0.0:
        raise InputError(f"expected two or more ascending times, got {timesteps}")
    return list(pairwise(at))


def _each(name: str, found: Any, expected: Any, tolerance: float, hint: str = "") -> Finding:
    """The worst relative deviation of single numbers."""
    a, b = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    residual = float(np.abs(a / np.where(b == 0.0, 1.0, b) - (b != 0.0)).max())
    return Finding(name, residual if np.isfinite(residual) else np.inf, tolerance, hint)


def _shifted(schedule: Schedule, at: Sequence[float], alphas: Sequence[float]) -> str:
    """Whether the factors are those of the next row or of the one before."""
    if schedule.steps is not None:
        inner = [k for k, t in enumerate(at) if 2.0 <= t <= schedule.steps - 1]
        for shift, words in ((1.0, "one step later"), (-1.0, "one step earlier")):
            right = schedule.alpha(np.array([at[k] + shift for k in inner]))
            if inner and np.allclose([alphas[k] for k in inner], right, rtol=1e-12):
                return f"these are the numbers of {words}: npdiff counts t = 1 ... T, 0 is the data"
    return "another schedule, another count of t, or a square root"


def _mixed_times(
    q_sample: Callable[..., Any],
    at: Sequence[float],
    chain: bool,
    shape: tuple[int, ...],
    tolerance: float,
) -> Finding:
    """A batch with a time for each sample against one sample after the other."""
    rng = np.random.default_rng(0)
    x_0, z = rng.standard_normal((2, _ROWS, *shape))
    t = np.resize(np.array(at)[::-1], _ROWS)
    t = t.astype(np.int64) if chain and (t == np.round(t)).all() else t
    together = to_host(q_sample(x_0, t, z))
    single = [to_host(q_sample(x_0[k : k + 1], t[k : k + 1], z[k : k + 1])) for k in range(_ROWS)]
    return Finding(
        "every sample has its own time", deviation(together, np.concatenate(single)), tolerance,
        "t is broadcast along the wrong axis, or the first one is used for all",
    )  # fmt: skip


def _steps(
    transition: Callable[..., Any],
    factors: Callable[..., tuple[float, float, float]],
    schedule: Schedule,
    pairs: Sequence[tuple[float, float]],
    as_time: Callable[[float], Any],
    tolerance: float,
) -> list[Finding]:
    """One step after the marginal at s is the marginal at t."""
    rows = []
    for s, t in _neighbors(schedule, pairs):
        a, b, _ = factors(lambda x, z, s=s, t=t: transition(x, as_time(s), as_time(t), z))
        mean, variance = a * schedule.alpha(s), a**2 * schedule.sigma(s) ** 2 + b**2
        rows.append((mean, schedule.alpha(t), variance, schedule.sigma(t) ** 2))
    mean, alpha, variance, square = (np.array(column) for column in zip(*rows, strict=True))
    return [
        _each("a step takes the mean at s to that at t", mean, alpha, tolerance),
        _each(
            "a step takes the variance at s to that at t", variance, square, tolerance,
            "variances add, standard deviations do not; a beta of another step",
        ),
    ]  # fmt: skip


def _neighbors(
    schedule: Schedule, pairs: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """On a chain single steps only: programs often have no others."""
    if schedule.steps is None:
        return list(pairs)
    return [(t - 1.0, t) for t in sorted({t for pair in pairs for t in pair})]


def _way_back(
    posterior: Callable[..., Any],
    factors: Callable[..., tuple[float, float, float]],
    schedule: Schedule,
    pairs: Sequence[tuple[float, float]],
    as_time: Callable[[float], Any],
    tolerance: float,
) -> list[Finding]:
    """The posterior beside Bayes' rule: precisions add, means are weighted by them."""
    rows = []
    for s, t in _neighbors(schedule, pairs):
        if schedule.sigma(s) == 0.0:
            continue  # x_s is x_0: there is nothing to infer

        def mean_of(x_0: np.ndarray, x_t: np.ndarray, s: float = s, t: float = t) -> Any:
            return posterior(x_0, x_t, as_time(s), as_time(t))[0]

        of_x_0, of_x_t, _ = factors(mean_of)
        probe = np.ones((_ROWS, 1))
        theirs = to_host(posterior(probe, probe, as_time(s), as_time(t))[1])
        found = float(np.asarray(theirs, dtype=np.float64).flat[0])
        a = float(schedule.alpha(t) / schedule.alpha(s))
        step = float(schedule.sigma(t) ** 2 - a**2 * schedule.sigma(s) ** 2)
        prior, likelihood = float(schedule.sigma(s)) ** -2, a**2 / step
        right = 1.0 / (prior + likelihood)
        weights = right * prior * float(schedule.alpha(s)), right * a / step
        rows.append((of_x_0, weights[0], of_x_t, weights[1], found, right))
    x_0, right_0, x_t, right_t, variance, wanted = (np.array(c) for c in zip(*rows, strict=True))
    loose = max(tolerance, 1e-7)  # the step's variance is a difference
    return [
        _each("the posterior's factor of x_0", x_0, right_0, loose, "the beta of another step"),
        _each("the posterior's factor of x_t", x_t, right_t, loose, "alpha-bar for its root"),
        _each(
            "the posterior's variance", variance, wanted, loose,
            "beta in the place of beta-tilde, a standard deviation, or a shift by one",
        ),
    ]  # fmt: skip
