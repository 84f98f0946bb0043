"""Verification of a denoiser: consistent estimates, dependence on time, independent samples."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from npdiff.backend import per_sample, to_host
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.exact import Distribution
from npdiff.random import Key
from npdiff.schedules import Schedule
from npdiff.verify.report import Finding, Report, deviation, name_of

#: Offsets and weights of the fourth-order central difference.
_STENCIL = ((1, 8 / 12), (-1, -8 / 12), (2, -1 / 12), (-2, 1 / 12))
_BATCH = 6

Estimates = tuple[np.ndarray, np.ndarray]


def denoiser(
    denoiser: Denoise,
    schedule: Schedule,
    exact: Distribution | None = None,
    *,
    shape: tuple[int, ...] | None = None,
    log_density: Callable[[np.ndarray, float], Any] | None = None,
    timesteps: Sequence[float] | None = None,
    dtype: Any = np.float64,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Report:
    r"""Verify a denoiser: its contract and, for known data, its values.

    For any denoiser: x0_hat and eps_hat add up to x by :eq:`marginal`; they have the shape and
    dtype of x; a second call returns the same and x is not modified; the result for a sample does
    not depend on its position in the batch, on the other samples, or on whether t is a scalar or an
    array; and the result depends on time.

    With ``exact``, x0_hat is compared with the conditional mean of the data. With ``log_density``,
    the score of the estimates, :eq:`tweedie`, is compared with differences of log q.

    Parameters
    ----------
    denoiser : ``denoiser(x, t) -> (x0_hat, eps_hat)``; t is a float or an (N,) array.
        :class:`npdiff.denoiser.Denoiser` makes one from a network that predicts eps, x_0, v, ...
    schedule : Schedule
    exact : the distribution of the data, for a denoiser that claims to be exact
    shape : shape of a sample; by default that of ``exact``, or (2,)
    log_density : ``log_density(x, t) -> (N,)`` log q(x_t = x), up to a constant
    timesteps : positive times at which the denoiser is called
    dtype : dtype of x
    tolerance : the largest relative deviation; for float32 use 1e-3
    seed : seed of x

    Returns
    -------
    Report

    Examples
    --------
    >>> from npdiff.exact import Gaussian
    >>> from npdiff.schedules import LinearVP
    >>> data, schedule = Gaussian([1.0, -2.0], 0.3), LinearVP()
    >>> denoiser(data.denoiser(schedule), schedule, data).passed
    True
    """
    at = _timesteps(schedule) if timesteps is None else np.asarray(timesteps, dtype=np.float64)
    if at.ndim != 1 or at.size < 2 or not (at > 0.0).all():
        raise InputError(f"timesteps must be two or more positive times, got {timesteps}")
    size = (2,) if shape is None else shape
    if exact is not None and shape is None:
        size = exact.sample(Key(seed, range(1))).shape[1:]
    x, t = _inputs(schedule, exact, size, at, seed)
    x = x.astype(dtype)
    eps = float(np.finfo(x.dtype).eps)
    loose = max(tolerance, 1e3 * eps)

    def call(x: np.ndarray, t: Any) -> Estimates:
        x0_hat, eps_hat = denoiser(x.copy(), t)
        return to_host(x0_hat), to_host(eps_hat)

    original = x.copy()
    x0_hat, eps_hat = (to_host(estimate) for estimate in denoiser(x, t))
    modified = float((x != original).sum())
    x = original
    found = _shapes(x, x0_hat, eps_hat)
    if found[0].passed:
        found.append(Finding("x is not modified", modified, 0.0))
        found.append(_consistency(schedule, x, t, (x0_hat, eps_hat), loose))
        found += _independence(call, x, t, (x0_hat, eps_hat), loose)
        if exact is None:
            found.append(_time_dependence(call, x, at))
        else:
            right = exact.denoised(schedule, x.astype(np.float64), t)
            hint = "a time, a scale or a sign; for a network, its error"
            error = deviation(x0_hat, right)
            found.append(Finding("x0_hat is the mean of the data given x", error, loose, hint))
        if log_density is not None:
            found.append(_score(call, log_density, schedule, x.astype(np.float64), t, loose, seed))
    return Report(f"denoiser {name_of(denoiser)}", tuple(found))


def _timesteps(schedule: Schedule) -> np.ndarray:
    """Times from almost clean to almost pure noise; integers for a discrete schedule."""
    last = float(schedule.t_max)
    if schedule.steps is not None:
        return np.unique(np.round(np.linspace(1.0, last, 5)))
    return schedule.t_min + (last - schedule.t_min) * np.array([0.02, 0.2, 0.45, 0.7, 0.95])


def _inputs(
    schedule: Schedule,
    exact: Distribution | None,
    shape: tuple[int, ...],
    at: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Noisy data and a time for each; without a distribution, N(0.6, 0.25) data."""
    t = np.resize(at, _BATCH)
    key = Key(seed, range(_BATCH), stream="verify")
    z = key.fold("eps").normal(shape)
    if exact is None:
        data = 0.6 + 0.5 * key.fold("data").normal(shape)
    else:
        data = exact.sample(key.fold("data")).reshape(_BATCH, *shape)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    return per_sample(alpha, data) * data + per_sample(sigma, data) * z, t


def _shapes(x: np.ndarray, x0_hat: np.ndarray, eps_hat: np.ndarray) -> list[Finding]:
    """Shape, dtype and finiteness; without the shape nothing else can be checked."""
    shapes = float((x0_hat.shape != x.shape) + (eps_hat.shape != x.shape))
    dtypes = float((x0_hat.dtype != x.dtype) + (eps_hat.dtype != x.dtype))
    hint = f"x is {x.dtype} {x.shape}, x0_hat {x0_hat.dtype} {x0_hat.shape}"
    finite = float(sum((~np.isfinite(estimate)).sum() for estimate in (x0_hat, eps_hat)))
    return [
        Finding("x0_hat and eps_hat have the shape of x", shapes, 0.0, hint),
        Finding("x0_hat and eps_hat have the dtype of x", dtypes, 0.0, hint),
        Finding("x0_hat and eps_hat are finite", finite, 0.0, "often a division by sigma or alpha"),
    ]


def _consistency(
    schedule: Schedule, x: np.ndarray, t: np.ndarray, estimates: Estimates, tolerance: float
) -> Finding:
    alpha, sigma = (per_sample(f(t), x) for f in (schedule.alpha, schedule.sigma))
    x0_hat, eps_hat = estimates
    return Finding(
        "alpha x0_hat + sigma eps_hat is x", deviation(alpha * x0_hat + sigma * eps_hat, x),
        tolerance, "another schedule or time, or x0_hat was changed and eps_hat was not",
    )  # fmt: skip


def _independence(
    call: Callable[[np.ndarray, Any], Estimates],
    x: np.ndarray,
    t: np.ndarray,
    estimates: Estimates,
    tolerance: float,
) -> list[Finding]:
    """Compare with a second call, a permuted batch, single samples, and a scalar time."""
    order = np.array([3, 0, 5, 1, 4, 2])
    permuted = call(x[order], t[order])
    moved = [deviation(a, b[order]) for a, b in zip(permuted, estimates, strict=True)]
    alone, scalar = 0.0, 0.0
    for k in range(_BATCH):
        here = [estimate[k : k + 1] for estimate in estimates]
        one = slice(k, k + 1)
        alone = max(alone, *map(deviation, call(x[one], t[one]), here))
        scalar = max(scalar, *map(deviation, call(x[one], float(t[k])), here))
    again = call(x, t)
    changed = float(sum((a != b).sum() for a, b in zip(again, estimates, strict=True)))
    return [
        Finding("a second call returns the same", changed, 0.0, "active dropout or hidden state"),
        Finding(
            "a sample does not depend on its position in the batch", max(moved), tolerance,
            "the time is taken by position in the batch, or statistics over the batch",
        ),
        Finding(
            "a sample does not depend on the other samples", alone, tolerance,
            "statistics over the batch",
        ),
        Finding(
            "a scalar time gives the same as an array of times", scalar, tolerance,
            "the time of the first sample is used for all, or broadcast along the wrong axis",
        ),
    ]  # fmt: skip


def _time_dependence(
    call: Callable[[np.ndarray, Any], Estimates], x: np.ndarray, at: np.ndarray
) -> Finding:
    """At one x, both estimates differ between any two times.

    A network that ignores time returns the estimate that it predicts unchanged; only the other
    estimate changes, with the scales.
    """
    estimates = [call(x, float(t)) for t in at]
    same = sum(
        any(np.array_equal(p, q) for p, q in zip(a, b, strict=True)) for a, b in pairwise(estimates)
    )
    return Finding(
        "the result depends on time", float(same), 0.0,
        "an estimate is the same at two times: t is not used",
    )  # fmt: skip


def _score(
    call: Callable[[np.ndarray, Any], Estimates],
    log_density: Callable[[np.ndarray, float], Any],
    schedule: Schedule,
    x: np.ndarray,
    t: np.ndarray,
    tolerance: float,
    seed: int,
) -> Finding:
    """-eps_hat / sigma along a random direction, compared with a difference of log q."""
    u = Key(seed, range(_BATCH), stream="verify/direction").normal(x.shape[1:])
    found, expected = np.zeros(_BATCH), np.zeros(_BATCH)
    for k in range(_BATCH):
        one, time = slice(k, k + 1), float(t[k])
        sigma = float(schedule.sigma(time))
        h = 1e-3 * sigma / math.sqrt(float((u[one] ** 2).sum()))
        values = [
            c * float(to_host(log_density(x[one] + j * h * u[one], time))[0]) for j, c in _STENCIL
        ]
        expected[k] = sigma * math.fsum(values) / h
        found[k] = -float((call(x[one], time)[1] * u[one]).sum())
    return Finding(
        "-eps_hat / sigma is the derivative of log_density", deviation(found, expected),
        max(tolerance, 1e-6), "the score of another time, or a sign",
    )  # fmt: skip
