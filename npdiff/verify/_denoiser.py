"""The proof of a denoiser: its two answers add up, time counts, samples are apart."""

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
from npdiff.verify.report import Finding, Findings, called, deviation

#: Steps and weights of the fourth-order central difference.
_STENCIL = ((1, 8 / 12), (-1, -8 / 12), (2, -1 / 12), (-2, 1 / 12))
_ROWS = 6

Answer = tuple[np.ndarray, np.ndarray]


def denoiser(
    my: Denoise,
    schedule: Schedule,
    exact: Distribution | None = None,
    *,
    shape: tuple[int, ...] | None = None,
    log_density: Callable[[np.ndarray, float], Any] | None = None,
    timesteps: Sequence[float] | None = None,
    dtype: Any = np.float64,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Findings:
    r"""Whether a denoiser is one, and if its data are known, the right one.

    Of any denoiser: its two answers add up to x by :eq:`marginal`; shape and dtype are those of x;
    asked twice it says the same and does not write to x; a sample is answered alike in any place of
    the batch, alone or in company, with one time for all or one each; and the time counts.

    With ``exact`` the answers are compared with the conditional mean of the data. With
    ``log_density`` the score that they imply, :eq:`tweedie`, is compared with its derivatives.

    Parameters
    ----------
    my : ``my(x, t) -> (x0_hat, eps_hat)``; t is a number or an (N,) array. A network becomes one
        by :class:`npdiff.denoiser.Denoiser`, which reads eps, x_0, v, ...
    schedule : Schedule
    exact : the distribution of the data, for a denoiser that claims to be perfect
    shape : of a sample; (2,) if neither it nor ``exact`` says so
    log_density : ``log_density(x, t) -> (N,)`` log q(x_t = x), up to a constant
    timesteps : to ask at, positive
    dtype : of x
    tolerance : of what rounding alone does not explain; for float32 take 1e-3
    seed : of x

    Returns
    -------
    Findings

    Examples
    --------
    >>> from npdiff.exact import Gaussian
    >>> from npdiff.schedules import LinearVP
    >>> data, schedule = Gaussian([1.0, -2.0], 0.3), LinearVP()
    >>> denoiser(data.denoiser(schedule), schedule, data).passed
    True
    """
    at = _times(schedule) if timesteps is None else np.asarray(timesteps, dtype=np.float64)
    if at.ndim != 1 or at.size < 2 or not (at > 0.0).all():
        raise InputError(f"expected two or more positive times, got {timesteps}")
    size = (2,) if shape is None else shape
    if exact is not None and shape is None:
        size = exact.sample(Key(seed, range(1))).shape[1:]
    x, t = _inputs(schedule, exact, size, at, seed)
    x = x.astype(dtype)
    eps = float(np.finfo(x.dtype).eps)
    loose = max(tolerance, 1e3 * eps)

    def ask(x: np.ndarray, t: Any) -> Answer:
        x_0, noise = my(x.copy(), t)
        return to_host(x_0), to_host(noise)

    kept = x.copy()
    x_0, noise = (to_host(part) for part in my(x, t))
    written = float((x != kept).sum())
    x = kept
    found = _form(x, x_0, noise)
    if found[0].passed:
        found.append(Finding("x itself is not written to", written, 0.0))
        found.append(_adds_up(schedule, x, t, (x_0, noise), loose))
        found += _apart(ask, x, t, (x_0, noise), loose)
        if exact is None:
            found.append(_time_counts(ask, x, at))
        else:
            right = exact.denoised(schedule, x.astype(np.float64), t)
            hint = "a time, a scale or a sign; of a network: its error"
            error = deviation(x_0, right)
            found.append(Finding("x0_hat is the mean of the data given x", error, loose, hint))
        if log_density is not None:
            found.append(_score(ask, log_density, schedule, x.astype(np.float64), t, loose, seed))
    return Findings(f"denoiser {called(my)}", tuple(found))


def _times(schedule: Schedule) -> np.ndarray:
    """From almost clean to almost pure noise, some whole times on a chain."""
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
    """Noisy data with a time for each; without a distribution, normal data of mean 0.6."""
    t = np.resize(at, _ROWS)
    key = Key(seed, range(_ROWS), stream="verify")
    z = key.fold("eps").normal(shape)
    if exact is None:
        data = 0.6 + 0.5 * key.fold("data").normal(shape)
    else:
        data = exact.sample(key.fold("data")).reshape(_ROWS, *shape)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    return per_sample(alpha, data) * data + per_sample(sigma, data) * z, t


def _form(x: np.ndarray, x_0: np.ndarray, noise: np.ndarray) -> list[Finding]:
    """Shape and dtype; the rest of the proof needs them."""
    shapes = float((x_0.shape != x.shape) + (noise.shape != x.shape))
    dtypes = float((x_0.dtype != x.dtype) + (noise.dtype != x.dtype))
    what = f"x is {x.dtype} {x.shape}, x0_hat {x_0.dtype} {x_0.shape}"
    finite = float(sum((~np.isfinite(part)).sum() for part in (x_0, noise)))
    return [
        Finding("both answers have the shape of x", shapes, 0.0, what),
        Finding("both answers have the dtype of x", dtypes, 0.0, what),
        Finding("both answers are finite", finite, 0.0, "often a division by sigma or alpha"),
    ]


def _adds_up(
    schedule: Schedule, x: np.ndarray, t: np.ndarray, answer: Answer, tolerance: float
) -> Finding:
    alpha, sigma = (per_sample(f(t), x) for f in (schedule.alpha, schedule.sigma))
    return Finding(
        "alpha x0_hat + sigma eps_hat is x", deviation(alpha * answer[0] + sigma * answer[1], x),
        tolerance, "read with another schedule or time, or x0_hat was changed and eps_hat was not",
    )  # fmt: skip


def _apart(
    ask: Callable[[np.ndarray, Any], Answer],
    x: np.ndarray,
    t: np.ndarray,
    answer: Answer,
    tolerance: float,
) -> list[Finding]:
    """Rows in another order, alone, with a scalar time, and once more."""
    order = np.array([3, 0, 5, 1, 4, 2])
    moved = [deviation(p, a[order]) for p, a in zip(ask(x[order], t[order]), answer, strict=True)]
    alone, scalar = 0.0, 0.0
    for k in range(_ROWS):
        here = [a[k : k + 1] for a in answer]
        row = slice(k, k + 1)
        alone = max(alone, *map(deviation, ask(x[row], t[row]), here))
        scalar = max(scalar, *map(deviation, ask(x[row], float(t[k])), here))
    again = ask(x, t)
    changed = float(sum((a != b).sum() for a, b in zip(again, answer, strict=True)))
    return [
        Finding("asked twice it says the same", changed, 0.0, "dropout left on, or a hidden state"),
        Finding(
            "a sample's place in the batch does not count", max(moved), tolerance,
            "time by position in the batch, or statistics over the batch",
        ),
        Finding(
            "a sample's company does not count", alone, tolerance, "statistics over the batch"
        ),
        Finding(
            "one time for all is the same as one each", scalar, tolerance,
            "the time of the first sample is used for all, or broadcast along the wrong axis",
        ),
    ]  # fmt: skip


def _time_counts(
    ask: Callable[[np.ndarray, Any], Answer], x: np.ndarray, at: np.ndarray
) -> Finding:
    """At one x neither answer is the same at two times.

    Of a network that ignores the time one is: the one that its output stands for. The other still
    changes, with the scales.
    """
    answers = [ask(x, float(t)) for t in at]
    same = sum(
        any(np.array_equal(p, q) for p, q in zip(a, b, strict=True)) for a, b in pairwise(answers)
    )
    return Finding(
        "the time counts", float(same), 0.0, "an answer is the same at two times: t is not used"
    )


def _score(
    ask: Callable[[np.ndarray, Any], Answer],
    log_density: Callable[[np.ndarray, float], Any],
    schedule: Schedule,
    x: np.ndarray,
    t: np.ndarray,
    tolerance: float,
    seed: int,
) -> Finding:
    """-eps_hat / sigma along a random direction, beside the difference of log q."""
    u = Key(seed, range(_ROWS), stream="verify/direction").normal(x.shape[1:])
    found, expected = np.zeros(_ROWS), np.zeros(_ROWS)
    for k in range(_ROWS):
        row, time = slice(k, k + 1), float(t[k])
        sigma = float(schedule.sigma(time))
        h = 1e-3 * sigma / math.sqrt(float((u[row] ** 2).sum()))
        values = [
            c * float(to_host(log_density(x[row] + j * h * u[row], time))[0]) for j, c in _STENCIL
        ]
        expected[k] = sigma * math.fsum(values) / h
        found[k] = -float((ask(x[row], time)[1] * u[row]).sum())
    return Finding(
        "-eps_hat / sigma is the derivative of log_density", deviation(found, expected),
        max(tolerance, 1e-6), "the score of another time, or a sign",
    )  # fmt: skip
