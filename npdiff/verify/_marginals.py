"""Verification of a forward process: marginals, transitions and posterior of one schedule."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from npdiff.backend import to_host
from npdiff.errors import InputError
from npdiff.schedules import Schedule
from npdiff.verify.report import Finding, Report, deviation, name_of

_BATCH = 4


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
) -> Report:
    r"""Verify functions that add noise against a schedule.

    All are affine in x and in the noise, so their coefficients can be measured: the factor of x_0
    is alpha_t and that of the noise sigma_t :eq:`marginal`. A step from s to t after the marginal
    at s must give the marginal at t, in mean and in variance; and the posterior must be the
    conditional of the two, which is derived here by adding precisions.

    Parameters
    ----------
    q_sample : ``q_sample(x_0, t, noise) -> x_t``; t is a scalar or (N,)
    schedule : Schedule; for betas of your own, ``DiscreteSchedule(betas)``
    transition : ``transition(x_s, s, t, noise) -> x_t``; for one step, ignore s
    posterior : ``posterior(x_0, x_t, s, t) -> (mean, variance)`` of q(x_s | x_t, x_0); variance may
        be a scalar or an array. DDPM's is the case s = t - 1
    timesteps : ascending times; by default neighboring times of a discrete schedule, or seven
        evenly spaced in continuous time
    per_sample_times : whether ``q_sample`` also takes t of shape (N,)
    shape : shape of a sample
    tolerance : the largest relative error of a coefficient

    Returns
    -------
    Report

    Examples
    --------
    >>> import numpy as np
    >>> from npdiff.schedules import linear_betas
    >>> schedule = linear_betas()
    >>> def q_sample(x_0, t, noise):
    ...     alpha_bar = schedule.alpha_bar[t]
    ...     return np.sqrt(alpha_bar) * x_0 + np.sqrt(1 - alpha_bar) * noise
    >>> marginals(q_sample, schedule, per_sample_times=False).passed
    True
    """
    discrete = schedule.steps is not None
    pairs = _pairs(schedule, timesteps)
    zero, one = np.zeros((_BATCH, *shape)), np.ones((_BATCH, *shape))

    def as_time(t: float) -> Any:
        return int(t) if discrete and t == int(t) else float(t)

    def factors(f: Callable[[np.ndarray, np.ndarray], Any]) -> tuple[float, float, float]:
        """The factors of the two arguments, and the largest deviation from linearity."""
        rest = np.asarray(to_host(f(zero, zero)), dtype=np.float64)
        parts = [np.asarray(to_host(f(*p)), dtype=np.float64) for p in ((one, zero), (zero, one))]
        unequal = max(float(np.ptp(part - rest)) for part in parts)
        first, second = (float((part - rest).flat[0]) for part in parts)
        return first, second, max(float(np.abs(rest).max()), unequal)

    alphas, sigmas, constant = [], [], 0.0
    at = sorted({t for pair in pairs for t in pair if t > 0.0})
    for t in at:
        alpha, sigma, left = factors(lambda x, z, t=t: q_sample(x, as_time(t), z))  # type: ignore[misc]
        alphas.append(alpha)
        sigmas.append(sigma)
        constant = max(constant, left)
    alpha_t, sigma_t = schedule.alpha(np.array(at)), schedule.sigma(np.array(at))
    hint = _shift_hint(schedule, at, alphas)
    found = [
        Finding("x_t is linear in x_0 and the noise", constant, tolerance, "a constant is added"),
        _relative("the factor of x_0 is alpha_t", alphas, alpha_t, tolerance, hint),
        _relative("the factor of the noise is sigma_t", sigmas, sigma_t, tolerance, hint),
    ]
    if per_sample_times:
        found.append(_mixed_times(q_sample, at, discrete, shape, tolerance))
    if transition is not None:
        found += _transitions(transition, factors, schedule, pairs, as_time, tolerance)
    if posterior is not None:
        found += _posterior(posterior, factors, schedule, pairs, as_time, tolerance)
    return Report(f"forward process {name_of(q_sample)}", tuple(found))


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
        raise InputError(f"timesteps must be two or more ascending times, got {timesteps}")
    return list(pairwise(at))


def _relative(name: str, found: Any, expected: Any, tolerance: float, hint: str = "") -> Finding:
    """The largest relative deviation of an element."""
    a, b = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    residual = float(np.abs(a / np.where(b == 0.0, 1.0, b) - (b != 0.0)).max())
    return Finding(name, residual if np.isfinite(residual) else np.inf, tolerance, hint)


def _shift_hint(schedule: Schedule, at: Sequence[float], alphas: Sequence[float]) -> str:
    """A hint: are the factors those of the next or of the previous step?"""
    if schedule.steps is not None:
        inner = [k for k, t in enumerate(at) if 2.0 <= t <= schedule.steps - 1]
        for shift, words in ((1.0, "one step later"), (-1.0, "one step earlier")):
            right = schedule.alpha(np.array([at[k] + shift for k in inner]))
            if inner and np.allclose([alphas[k] for k in inner], right, rtol=1e-12):
                return f"the factors are those of {words}: in npdiff t = 1 ... T, and 0 is the data"
    return "another schedule, another index of t, or a square root"


def _mixed_times(
    q_sample: Callable[..., Any],
    at: Sequence[float],
    discrete: bool,
    shape: tuple[int, ...],
    tolerance: float,
) -> Finding:
    """Compare a batch with one time per sample with the samples one by one."""
    rng = np.random.default_rng(0)
    x_0, z = rng.standard_normal((2, _BATCH, *shape))
    t = np.resize(np.array(at)[::-1], _BATCH)
    t = t.astype(np.int64) if discrete and (t == np.round(t)).all() else t
    together = to_host(q_sample(x_0, t, z))
    single = [to_host(q_sample(x_0[k : k + 1], t[k : k + 1], z[k : k + 1])) for k in range(_BATCH)]
    return Finding(
        "each sample has its own time", deviation(together, np.concatenate(single)), tolerance,
        "t is broadcast along the wrong axis, or the first time is used for all",
    )  # fmt: skip


def _transitions(
    transition: Callable[..., Any],
    factors: Callable[..., tuple[float, float, float]],
    schedule: Schedule,
    pairs: Sequence[tuple[float, float]],
    as_time: Callable[[float], Any],
    tolerance: float,
) -> list[Finding]:
    """Compare the marginal at s followed by one step with the marginal at t."""
    rows = []
    for s, t in _neighbors(schedule, pairs):
        a, b, _ = factors(lambda x, z, s=s, t=t: transition(x, as_time(s), as_time(t), z))
        mean, variance = a * schedule.alpha(s), a**2 * schedule.sigma(s) ** 2 + b**2
        rows.append((mean, schedule.alpha(t), variance, schedule.sigma(t) ** 2))
    mean, alpha, variance, square = (np.array(column) for column in zip(*rows, strict=True))
    return [
        _relative("a step takes the mean at s to that at t", mean, alpha, tolerance),
        _relative(
            "a step takes the variance at s to that at t", variance, square, tolerance,
            "variances add, standard deviations do not; a beta of another step",
        ),
    ]  # fmt: skip


def _neighbors(
    schedule: Schedule, pairs: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """For a discrete schedule single steps only: many programs have no others."""
    if schedule.steps is None:
        return list(pairs)
    return [(t - 1.0, t) for t in sorted({t for pair in pairs for t in pair})]


def _posterior(
    posterior: Callable[..., Any],
    factors: Callable[..., tuple[float, float, float]],
    schedule: Schedule,
    pairs: Sequence[tuple[float, float]],
    as_time: Callable[[float], Any],
    tolerance: float,
) -> list[Finding]:
    """Compare the posterior with Bayes' rule: precisions add and weight the means."""
    rows = []
    for s, t in _neighbors(schedule, pairs):
        if schedule.sigma(s) == 0.0:
            continue  # x_s is x_0

        def mean_of(x_0: np.ndarray, x_t: np.ndarray, s: float = s, t: float = t) -> Any:
            return posterior(x_0, x_t, as_time(s), as_time(t))[0]

        of_x_0, of_x_t, _ = factors(mean_of)
        probe = np.ones((_BATCH, 1))
        theirs = to_host(posterior(probe, probe, as_time(s), as_time(t))[1])
        found = float(np.asarray(theirs, dtype=np.float64).flat[0])
        a = float(schedule.alpha(t) / schedule.alpha(s))
        step = float(schedule.sigma(t) ** 2 - a**2 * schedule.sigma(s) ** 2)
        prior, likelihood = float(schedule.sigma(s)) ** -2, a**2 / step
        right = 1.0 / (prior + likelihood)
        weights = right * prior * float(schedule.alpha(s)), right * a / step
        rows.append((of_x_0, weights[0], of_x_t, weights[1], found, right))
    x_0, right_0, x_t, right_t, variance, right_variance = (
        np.array(c) for c in zip(*rows, strict=True)
    )
    loose = max(tolerance, 1e-7)  # the step's variance is a difference
    return [
        _relative("the posterior's factor of x_0", x_0, right_0, loose, "the beta of another step"),
        _relative("the posterior's factor of x_t", x_t, right_t, loose, "alpha-bar, not its root"),
        _relative(
            "the posterior's variance", variance, right_variance, loose,
            "beta instead of beta-tilde, a standard deviation, or an index off by one",
        ),
    ]  # fmt: skip
