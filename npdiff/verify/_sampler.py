"""The proof of a sampler: its order on an ODE whose solution is known, and what else must hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npdiff.errors import InputError
from npdiff.samplers import SAMPLERS
from npdiff.schedules import LinearVP, Schedule
from npdiff.verify.convergence import DATA
from npdiff.verify.deterministic import conduct, converges, errors_at, rounding, short_walk
from npdiff.verify.moments import given_noise, own_noise
from npdiff.verify.problem import EXACT_FOR, POINT, Sampler, Trial
from npdiff.verify.report import Finding, Findings, called, deviation

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
    options: Mapping[str, Any] | None = None,
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
    my : ``my(denoise, schedule, x, timesteps)``, returns where it ends or iterates over steps with an
        ``x``; or the name of one of npdiff's. See :mod:`npdiff.verify.adapters` for others
    order : claimed of the global error, of the moments where there is noise; None claims only
        that the error at the most steps is below 1e-3
    noise : None (deterministic), ``"given"`` or ``"own"``
    schedule : Schedule; :class:`~npdiff.schedules.LinearVP` if None. An order above 1 needs one
        that is smooth: a chain is not
    end : the positive time to stop at; where sigma_t / alpha_t = 0.08 if None
    steps : the numbers of steps, each at least 3; an order above 3 is seen at more than the usual
        24 to 384
    shape : of a sample, for samplers that want images
    exact : for which data it claims to make no error at any number of steps: ``"point"`` (DDIM,
        DPM-Solver, DDPM with the posterior variance), ``"standard"`` normal or any ``"gaussian"``
    like : a sampler, or the name of one of npdiff's, that it claims to agree with to rounding
    to_data : whether it can go to t = 0, where a step returns the estimate of the data
    samples, false_alarm : for ``noise="own"``
    seed : of the noise
    options : passed on to ``my``, by name

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
    run = _bound(my, options or {})
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
        found, notes = conduct(run, trial, end)
        found += [] if getattr(run, "ends_at_data", False) else [short_walk(run, trial)]
        errors, floor = errors_at(run, trial, end, counts)
        found.append(converges(counts, errors, floor, order))
        measured = {"steps": counts, "error": tuple(errors)}
        if exact is not None:
            found.append(_exact(run, trial, end, exact))
    if to_data:
        found.append(_lands(run, trial, noise, seed))
    if like is not None and noise != "own":
        found.append(_agrees(run, _bound(like, {}), trial, end, noise, seed))
    return Findings(name, tuple(found), tuple(notes), measured)


def _bound(my: Sampler | str, options: Mapping[str, Any]) -> Sampler:
    if isinstance(my, str) and my not in SAMPLERS:
        raise InputError(f"unknown sampler {my!r}: npdiff has {', '.join(SAMPLERS)}")
    f: Sampler = SAMPLERS[my] if isinstance(my, str) else my
    if not options:
        return f

    def bound(*args: Any, **more: Any) -> Any:
        return f(*args, **options, **more)

    bound.ends_at_data = getattr(f, "ends_at_data", False)  # type: ignore[attr-defined]
    return bound


def _uneven(trial: Trial, start: float, end: float) -> np.ndarray:
    ends = trial.schedule.log_snr(start), trial.schedule.log_snr(end)
    inner = trial.schedule.time_at(ends[0] + np.array(_UNEVEN[1:-1]) * (ends[1] - ends[0]))
    return np.concatenate([[start], inner, [end]])


def _exact(run: Sampler, trial: Trial, end: float, exact: str) -> Finding:
    here = Trial(EXACT_FOR[exact], trial.schedule, trial.shape)
    timesteps = _uneven(here, here.start, end)
    x = here.points * float(trial.schedule.sigma(here.start))
    there = here.run(run, x, timesteps)
    return Finding(
        f"three unequal steps are exact for {exact} data",
        deviation(there, here.flow(x, timesteps[0], end)), max(1e-9, rounding(there)),
        "a coefficient is that of another time, or the method is not exact there",
    )  # fmt: skip


def _noise(trial: Trial, x: np.ndarray, noise: str | None, seed: int) -> dict[str, Any]:
    if noise != "given":
        return {}
    return {"noise": lambda i: np.random.default_rng([seed, i]).standard_normal(x.shape)}


def _lands(run: Sampler, trial: Trial, noise: str | None, seed: int) -> Finding:
    here = Trial(POINT, trial.schedule, trial.shape)
    timesteps = np.append(
        here.grid(here.start, float(trial.schedule.time_at(_LAST_LOG_SNR)), 7), 0.0
    )
    alpha, sigma = (float(f(here.start)) for f in (trial.schedule.alpha, trial.schedule.sigma))
    x = alpha * POINT.mean + sigma * here.points
    with np.errstate(divide="ignore", invalid="ignore"):  # a step into sigma = 0 may divide by it
        there = here.run(run, x, timesteps, **_noise(here, x, noise, seed))
    return Finding(
        "at t = 0 it ends in the data, where they are a point",
        deviation(there, np.full_like(x, POINT.mean[0])), max(1e-6, rounding(there)),
        "the last step: noise is added or left, or alpha is not 1 there (to_data=False, if it "
        "is not meant to go there)",
    )  # fmt: skip


def _agrees(
    run: Sampler, like: Sampler, trial: Trial, end: float, noise: str | None, seed: int
) -> Finding:
    timesteps = _uneven(trial, trial.start, end)
    x = float(trial.schedule.sigma(trial.start)) * trial.points
    more = _noise(trial, x, noise, seed)
    theirs = trial.run(like, x, timesteps, **more)
    return Finding(
        f"three unequal steps are those of {called(like)}",
        deviation(trial.run(run, x, timesteps, **more), theirs), max(1e-9, rounding(theirs)),
    )  # fmt: skip
