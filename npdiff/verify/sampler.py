"""The proof of a sampler: its order on an ODE whose solution is known, and what else must hold."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.errors import InputError
from npdiff.samplers import SAMPLERS
from npdiff.schedules import LinearVP, Schedule
from npdiff.verify.moments import given_noise, own_noise, short_of
from npdiff.verify.orders import DATA, TOLERANCE
from npdiff.verify.report import Finding, Findings, called, deviation
from npdiff.verify.trial import EXACT_FOR, POINT, Record, Sampler, Trial

#: Where a trial ends unless it is said otherwise: sigma_t / alpha_t is 0.08.
_LAST_LOG_SNR = 5.05
#: Steps of different lengths, as shares of the whole way in log-SNR.
_UNEVEN = (0.0, 0.45, 0.6, 1.0)


def sampler(
    my: Sampler | str,
    order: float | None = 1,
    *,
    noise: str | None = None,
    schedule: Schedule | None = None,
    end: float | None = None,
    steps: Sequence[int] | None = None,
    shape: tuple[int, ...] = (1,),
    exact: str | None = None,
    like: Sampler | str | None = None,
    to_data: bool = True,
    samples: int = 20_000,
    false_alarm: float = 1e-6,
    seed: int = 0,
    **options: Any,
) -> Findings:
    r"""Whether a sampler is what it claims to be.

    A deterministic sampler solves the probability-flow ODE. On a mixture of Gaussians the denoiser
    and the solution are known, so its global error is measured, at more and more steps down to a
    positive sigma; the slope under doubling, :eq:`observed-order`, must reach the order claimed.
    Also checked: that it first asks the denoiser about the state it was given, at the time it was
    given, and never outside of the grid; that a short walk of two unequal steps ends where it
    should, which a last step left out or an index off by one does not; that samples do not see
    each other; that on data which are a point it ends in the point.

    A stochastic sampler with ``noise="given"`` is called with ``noise=``, a function of the number
    of a draw. On normal data it is an affine map of the noise, so that its mean and its variance
    are found exactly, by switching on one draw at a time; they must approach the truth with the
    order claimed. With ``noise="own"`` it draws its own noise, and mean and variance of many
    samples are put to a test of stated false-alarm level.

    Parameters
    ----------
    my : ``my(denoise, schedule, x, times)``, returns where it ends or iterates over steps with an
        ``x``; or the name of one of npdiff's. See :mod:`npdiff.verify.adapters` for others
    order : claimed of the global error, of the moments where there is noise; None claims only
        that the error at the most steps is below 1e-3
    noise : None (deterministic), ``"given"`` or ``"own"``
    schedule : Schedule; :class:`~npdiff.schedules.LinearVP` if None. An order above 1 needs one
        that is smooth: a chain is not
    end : the positive time to stop at; where sigma_t / alpha_t = 0.08 if None
    steps : the numbers of steps, each at least 3
    shape : of a sample, for samplers that want images
    exact : for which data it claims to make no error at any number of steps: ``"point"`` (DDIM,
        DPM-Solver, DDPM with the posterior variance), ``"standard"`` normal or any ``"gaussian"``
    like : a sampler, or the name of one of npdiff's, that it claims to agree with to rounding
    to_data : whether it can go to t = 0, where a step returns the estimate of the data
    samples, false_alarm : for ``noise="own"``
    seed : of the noise
    options : passed on to ``my``

    Returns
    -------
    Findings

    Examples
    --------
    >>> from npdiff import samplers
    >>> sampler(samplers.heun, order=2).passed
    True
    """
    if noise not in (None, "given", "own"):
        raise InputError(f"noise is None, 'given' or 'own', got {noise!r}")
    if exact is not None and exact not in EXACT_FOR:
        raise InputError(f"exact is one of {', '.join(EXACT_FOR)}, got {exact!r}")
    counts = tuple(steps or ((24, 48, 96, 192, 384) if noise is None else (16, 32, 64, 128)))
    if min(counts) < 3 or sorted(set(counts)) != list(counts):
        raise InputError(f"steps ascend from 3 or more, got {counts}")
    run = _bound(my, options)
    schedule = LinearVP() if schedule is None else schedule
    trial = Trial(DATA, schedule, shape)
    end = float(schedule.time_at(_LAST_LOG_SNR) if end is None else end)
    if not 0.0 < end < trial.start:
        raise InputError(f"expected an end between 0 and {trial.start:g}, got {end:g}")
    name = f"sampler {called(my) if callable(my) else my}"
    measured: dict[str, tuple[float, ...]] = {}
    notes: list[str] = []
    if noise == "own":
        found, notes = own_noise(run, trial, end, counts[-1], samples, false_alarm)
    elif noise == "given":
        found, measured = given_noise(run, trial, end, counts, order, exact, seed)
    else:
        found, notes = _conduct(run, trial, end)
        found += [] if getattr(run, "ends_at_data", False) else [_short_walk(run, trial)]
        errors, floor = _errors(run, trial, end, counts)
        found.append(_converges(counts, errors, floor, order))
        measured = {"steps": counts, "error": tuple(errors)}
        if exact is not None:
            found.append(_exact(run, trial, end, exact))
    if to_data:
        found.append(_lands(run, trial, noise, seed))
    if like is not None and noise != "own":
        found.append(_agrees(run, _bound(like, {}), trial, end, noise, seed))
    return Findings(name, tuple(found), tuple(notes), measured)


def _bound(my: Sampler | str, options: dict[str, Any]) -> Sampler:
    if isinstance(my, str) and my not in SAMPLERS:
        raise InputError(f"unknown sampler {my!r}: npdiff has {', '.join(SAMPLERS)}")
    f: Sampler = SAMPLERS[my] if isinstance(my, str) else my
    if not options:
        return f

    def bound(*args: Any, **more: Any) -> Any:
        return f(*args, **options, **more)

    bound.ends_at_data = getattr(f, "ends_at_data", False)  # type: ignore[attr-defined]
    return bound


def _conduct(run: Sampler, trial: Trial, end: float) -> tuple[list[Finding], list[str]]:
    """What a sampler asks its denoiser, what it does to its argument, whether samples meet."""
    times = trial.grid(trial.start, end, 12)
    x = float(trial.schedule.sigma(trial.start)) * trial.points
    record = Record()
    there = trial.run(run, x, times, record)
    back = trial.run(run, x[::-1], times)
    asked = np.array(record.times or [math.nan])
    slack = 1e-6 * times[0]
    outside = int(((asked > times[0] + slack) | (asked < end - slack)).sum())
    first = abs(asked[0] - times[0]) / times[0]
    state = deviation(record.first, x) if record.first is not None else math.inf
    several = f"{len(record.times) // 2} questions in 12 steps"
    found = [
        Finding("the answer is finite", float((~np.isfinite(there)).sum()), 0.0),
        Finding("x itself is not written to", float(record.written), 0.0),
        Finding(
            "the denoiser is first asked about x", max(first, state), 1e-6,
            "at another time or another x: an index off by one, a wrong time or scale",
        ),
        Finding(
            "it is asked at one time, within the grid", float(outside + record.several), 0.0,
            "a time off by one, or the position in the batch in the place of the time",
        ),
        Finding(
            "samples do not see each other", deviation(back[::-1], there), _rounding(there),
            "the answer for a sample depends on its place in the batch",
        ),
    ]  # fmt: skip
    return found, [several]


def _rounding(x: np.ndarray) -> float:
    """What rounding may do to an answer of many steps."""
    return 1e4 * float(np.finfo(x.dtype).eps)


def _short_walk(run: Sampler, trial: Trial) -> Finding:
    """The slope of the error of two steps, the first twice the second, as both shrink."""
    errors = []
    middle = float(trial.schedule.time_at(0.0))
    x = trial.flow(float(trial.schedule.sigma(trial.start)) * trial.points, trial.start, middle)
    for length in (0.2, 0.1):
        times = trial.schedule.time_at(np.array([0.0, 0.7, 1.0]) * length)
        times[0] = middle
        there = trial.run(run, x, times)
        errors.append(deviation(there, trial.flow(x, float(times[0]), float(times[2]))))
    slope = _slope((1, 2), errors, 0.0)
    return Finding(
        f"two short unequal steps have an error of order {slope:z.2f}, at least 2",
        short_of(2.0, slope), TOLERANCE,
        "a step too few, too many or of the wrong length; a sign, a scale",
    )  # fmt: skip


def _errors(
    run: Sampler, trial: Trial, end: float, counts: Sequence[int]
) -> tuple[list[float], float]:
    """The largest global error at each number of steps, and where rounding sets in."""
    x = float(trial.schedule.sigma(trial.start)) * trial.points
    truth = trial.flow(x, trial.start, end)
    errors, floor = [], 0.0
    for count in counts:
        there = trial.run(run, x, trial.grid(trial.start, end, count))
        errors.append(float(np.abs(there - truth).max()))
        floor = 50.0 * float(np.finfo(there.dtype).eps)
    return errors, floor


def _slope(counts: Sequence[int], errors: Sequence[float], floor: float) -> float:
    """The slope at the last pair above the floor, or NaN."""
    pairs = [k for k in range(1, len(errors)) if errors[k] > floor or k == 1]
    before, after = errors[pairs[-1] - 1], errors[pairs[-1]]
    if not (math.isfinite(before) and math.isfinite(after)):
        return math.nan
    if after <= floor:
        return math.inf
    return math.log(before / after) / math.log(counts[pairs[-1]] / counts[pairs[-1] - 1])


def _converges(
    counts: Sequence[int], errors: Sequence[float], floor: float, order: float | None
) -> Finding:
    if order is None:
        return Finding(f"the error at {counts[-1]} steps", errors[-1], 1e-3)
    slope = _slope(counts, errors, floor)
    return Finding(
        f"the error falls with order {slope:z.2f}, at least {order:g}",
        short_of(order, slope), TOLERANCE,
        "at order 0 it solves another equation: a sign, a scale, a time; where the order is only "
        "too low, look at a stage or at a term of history",
    )  # fmt: skip


def _uneven(trial: Trial, start: float, end: float) -> np.ndarray:
    ends = trial.schedule.log_snr(start), trial.schedule.log_snr(end)
    inner = trial.schedule.time_at(ends[0] + np.array(_UNEVEN[1:-1]) * (ends[1] - ends[0]))
    return np.concatenate([[start], inner, [end]])


def _exact(run: Sampler, trial: Trial, end: float, exact: str) -> Finding:
    here = Trial(EXACT_FOR[exact], trial.schedule, trial.shape)
    times = _uneven(here, here.start, end)
    x = here.points * float(trial.schedule.sigma(here.start))
    there = here.run(run, x, times)
    return Finding(
        f"three unequal steps are exact for {exact} data",
        deviation(there, here.flow(x, times[0], end)), max(1e-9, _rounding(there)),
        "a coefficient is that of another time, or the method is not exact there",
    )  # fmt: skip


def _noise(trial: Trial, x: np.ndarray, noise: str | None, seed: int) -> dict[str, Any]:
    if noise != "given":
        return {}
    return {"noise": lambda i: np.random.default_rng([seed, i]).standard_normal(x.shape)}


def _lands(run: Sampler, trial: Trial, noise: str | None, seed: int) -> Finding:
    here = Trial(POINT, trial.schedule, trial.shape)
    times = np.append(here.grid(here.start, float(trial.schedule.time_at(_LAST_LOG_SNR)), 7), 0.0)
    alpha, sigma = (float(f(here.start)) for f in (trial.schedule.alpha, trial.schedule.sigma))
    x = alpha * POINT.mean + sigma * here.points
    with np.errstate(divide="ignore", invalid="ignore"):  # a step into sigma = 0 may divide by it
        there = here.run(run, x, times, **_noise(here, x, noise, seed))
    return Finding(
        "at t = 0 it ends in the data, where they are a point",
        deviation(there, np.full_like(x, POINT.mean[0])), max(1e-6, _rounding(there)),
        "the last step: noise is added or left, or alpha is not 1 there (to_data=False, if it "
        "is not meant to go there)",
    )  # fmt: skip


def _agrees(
    run: Sampler, like: Sampler, trial: Trial, end: float, noise: str | None, seed: int
) -> Finding:
    times = _uneven(trial, trial.start, end)
    x = float(trial.schedule.sigma(trial.start)) * trial.points
    more = _noise(trial, x, noise, seed)
    theirs = trial.run(like, x, times, **more)
    return Finding(
        f"three unequal steps are those of {called(like)}",
        deviation(trial.run(run, x, times, **more), theirs), max(1e-9, _rounding(theirs)),
    )  # fmt: skip
