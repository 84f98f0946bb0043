"""Verification of a sampler: its order on an ODE with a known solution, and its contract."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npdiff.errors import InputError
from npdiff.samplers import SAMPLERS
from npdiff.schedules import LinearVP, Schedule
from npdiff.verify.convergence import DATA
from npdiff.verify.deterministic import (
    call_contract,
    errors_at,
    order_finding,
    rounding_tolerance,
    two_short_steps,
)
from npdiff.verify.moments import given_noise, own_noise
from npdiff.verify.problem import EXACT_FOR, POINT, Sampler, TestProblem
from npdiff.verify.report import Finding, Report, deviation, name_of

#: log-SNR where a test problem ends by default: sigma_t / alpha_t is 0.08.
_LAST_LOG_SNR = 5.05
#: Three steps of different lengths, as fractions of the range of log-SNR.
_UNEQUAL = (0.0, 0.45, 0.6, 1.0)


def sampler(
    sampler: Sampler | str,
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
) -> Report:
    r"""Verify a sampler on data whose exact denoiser is known.

    A deterministic sampler solves the probability-flow ODE. For a mixture of Gaussians the denoiser
    and the solution are known, so its global error is measured, at more and more steps down to a
    positive sigma; the slope under doubling, :eq:`observed-order`, must reach the claimed order.
    Also checked: the first call of the denoiser is at the given state and time, and no call is
    outside the timesteps; two short unequal steps end where they should, which detects an omitted
    last step and an index off by one; samples are independent of each other; and for data that are
    one point the sampler ends at the point.

    A stochastic sampler with ``noise="given"`` is called with ``noise=``, a function of the index
    of the draw. On normal data the result is an affine map of the noise, so its mean and variance
    are computed exactly, one draw at a time; they must approach the truth with the claimed order.
    With ``noise="own"`` the sampler draws its noise itself, and the mean and variance of many
    samples are tested at a stated false-alarm rate.

    Parameters
    ----------
    sampler : ``sampler(denoise, schedule, x, timesteps)``, which returns the final state or
        iterates over steps with an ``x``; or the name of a sampler of npdiff. See
        :mod:`npdiff.verify.adapters` for other conventions
    order : claimed order of the global error, or of the moments if there is noise; None claims only
        that the error at the most steps is below 1e-3
    noise : None (deterministic), ``"given"`` or ``"own"``
    schedule : Schedule; :class:`~npdiff.schedules.LinearVP` if None. An order above 1 requires a
        smooth schedule: a discrete one is not
    end : the positive time to stop at; where sigma_t / alpha_t = 0.08 if None
    steps : the numbers of steps, each at least 3; an order above 3 needs more than the default
        24 to 384
    shape : of a sample, for samplers that require images
    exact : data for which the sampler claims no error with any number of steps: ``"point"`` (DDIM,
        DPM-Solver, DDPM with the posterior variance), ``"standard"`` normal or any ``"gaussian"``
    like : a sampler, or the name of one of npdiff's, with which it claims to agree up to rounding
    to_data : whether the sampler can step to t = 0, where a step returns the estimate of the data
    samples, false_alarm : for ``noise="own"``: the number of samples, and the probability that a
        right sampler fails
    seed : seed of the noise
    options : keyword arguments of the sampler

    Returns
    -------
    Report

    Examples
    --------
    >>> from npdiff import samplers
    >>> sampler(samplers.heun, order=2).passed
    True
    """
    if noise not in (None, "given", "own"):
        raise InputError(f"noise must be None, 'given' or 'own', got {noise!r}")
    if exact is not None and exact not in EXACT_FOR:
        raise InputError(f"exact must be one of {', '.join(EXACT_FOR)}, got {exact!r}")
    counts = tuple(steps or ((24, 48, 96, 192, 384) if noise is None else (16, 32, 64, 128)))
    if min(counts) < 3 or sorted(set(counts)) != list(counts):
        raise InputError(f"steps must be ascending integers of 3 or more, got {counts}")
    run = _with_options(sampler, options or {})
    schedule = LinearVP() if schedule is None else schedule
    problem = TestProblem(DATA, schedule, shape)
    end = float(schedule.time_at(_LAST_LOG_SNR) if end is None else end)
    if not 0.0 < end < problem.start:
        raise InputError(f"end must be between 0 and {problem.start:g}, got {end:g}")
    name = f"sampler {name_of(sampler) if callable(sampler) else sampler}"
    measured: dict[str, tuple[float, ...]] = {}
    notes: list[str] = []
    if noise == "own":
        found, notes = own_noise(run, problem, end, counts[-1], samples, false_alarm)
    elif noise == "given":
        found, measured = given_noise(run, problem, end, counts, order, exact, seed)
    else:
        found, notes = call_contract(run, problem, end)
        found += [] if getattr(run, "ends_at_data", False) else [two_short_steps(run, problem)]
        errors, floor = errors_at(run, problem, end, counts)
        found.append(order_finding(counts, errors, floor, order))
        measured = {"steps": counts, "error": tuple(errors)}
        if exact is not None:
            found.append(_exactness(run, problem, end, exact))
    if to_data:
        found.append(_ends_at_data(run, problem, noise, seed))
    if like is not None and noise != "own":
        found.append(_agreement(run, _with_options(like, {}), problem, end, noise, seed))
    return Report(name, tuple(found), tuple(notes), measured)


def _with_options(sampler: Sampler | str, options: Mapping[str, Any]) -> Sampler:
    f: Sampler = SAMPLERS[sampler] if isinstance(sampler, str) else sampler
    if not options:
        return f

    def with_options(*args: Any, **more: Any) -> Any:
        return f(*args, **options, **more)

    with_options.ends_at_data = getattr(f, "ends_at_data", False)  # type: ignore[attr-defined]
    return with_options


def _three_steps(problem: TestProblem, start: float, end: float) -> np.ndarray:
    ends = problem.schedule.log_snr(start), problem.schedule.log_snr(end)
    inner = problem.schedule.time_at(ends[0] + np.array(_UNEQUAL[1:-1]) * (ends[1] - ends[0]))
    return np.concatenate([[start], inner, [end]])


def _exactness(run: Sampler, problem: TestProblem, end: float, exact: str) -> Finding:
    here = TestProblem(EXACT_FOR[exact], problem.schedule, problem.shape)
    timesteps = _three_steps(here, here.start, end)
    x = here.points * float(problem.schedule.sigma(here.start))
    found = here.run(run, x, timesteps)
    return Finding(
        f"three unequal steps are exact for {exact} data",
        deviation(found, here.flow(x, timesteps[0], end)), max(1e-9, rounding_tolerance(found)),
        "a coefficient belongs to another time, or the method is not exact for these data",
    )  # fmt: skip


def _noise_option(x: np.ndarray, noise: str | None, seed: int) -> dict[str, Any]:
    if noise != "given":
        return {}
    return {"noise": lambda i: np.random.default_rng([seed, i]).standard_normal(x.shape)}


def _ends_at_data(run: Sampler, problem: TestProblem, noise: str | None, seed: int) -> Finding:
    here = TestProblem(POINT, problem.schedule, problem.shape)
    schedule = problem.schedule
    last = float(schedule.time_at(_LAST_LOG_SNR))
    timesteps = np.append(here.timesteps(here.start, last, 7), 0.0)
    alpha, sigma = float(schedule.alpha(here.start)), float(schedule.sigma(here.start))
    x = alpha * POINT.mean + sigma * here.points
    with np.errstate(divide="ignore", invalid="ignore"):  # a step to sigma = 0 may divide by it
        found = here.run(run, x, timesteps, **_noise_option(x, noise, seed))
    return Finding(
        "for data that are one point, it ends there at t = 0",
        deviation(found, np.full_like(x, POINT.mean[0])), max(1e-6, rounding_tolerance(found)),
        "the last step: noise is added or remains, or alpha is not 1 there (pass to_data=False "
        "if the sampler ends before t = 0)",
    )  # fmt: skip


def _agreement(
    run: Sampler, like: Sampler, problem: TestProblem, end: float, noise: str | None, seed: int
) -> Finding:
    timesteps = _three_steps(problem, problem.start, end)
    x = float(problem.schedule.sigma(problem.start)) * problem.points
    options = _noise_option(x, noise, seed)
    expected = problem.run(like, x, timesteps, **options)
    return Finding(
        f"three unequal steps agree with {name_of(like)}",
        deviation(problem.run(run, x, timesteps, **options), expected),
        max(1e-9, rounding_tolerance(expected)),
    )  # fmt: skip
