r"""Measured orders of convergence: how fast the error of each solver falls with the step size.

The data are a mixture of two Gaussians, whose denoiser is exact; the probability-flow ODE carries
each point along its quantile :eq:`quantile-flow`, so that the solution is known. All problems end
at a positive sigma: a last step to 0 is infinitely long in log-SNR, and its error does not fall as
the number of steps grows.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers import SAMPLERS
from npdiff.schedules import EDM, LinearVP, Schedule, Times
from npdiff.verify.convergence import DATA, MEANS, STARTS, VARIANCE, WEIGHTS


def denoiser(schedule: Schedule) -> Denoise:
    r"""The exact denoiser of the data: two components of equal variance.

    .. math::
        :label: two-component-denoiser

        \mathbb E[x_0 \mid x_t] = \kappa\, x_t
        + (1 - \kappa\, \alpha_t) \Big( \frac{m_1 + m_2}{2}
        + \frac{m_2 - m_1}{2} \tanh \frac{u}{2} \Big),
        \qquad
        u = \log \frac{\pi_2}{\pi_1}
        + \frac{\alpha_t (m_2 - m_1)}{v} \Big( x_t - \alpha_t \frac{m_1 + m_2}{2} \Big)

    with :math:`v = \alpha_t^2 c + \sigma_t^2` and :math:`\kappa = \alpha_t c / v`. Measuring
    an order takes thousands of evaluations; this is many times faster than a general mixture.
    """
    middle, half = 0.5 * (MEANS[0] + MEANS[1]), 0.5 * (MEANS[1] - MEANS[0])
    log_odds = math.log(WEIGHTS[1] / WEIGHTS[0])

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        v = alpha**2 * VARIANCE + sigma**2
        kappa = alpha * VARIANCE / v
        u = log_odds + (2.0 * alpha * half / v) * (x - alpha * middle)
        between = middle + half * namespace(x).tanh(0.5 * u)
        x_0 = kappa * x + (1.0 - kappa * alpha) * between
        return x_0, (x - alpha * x_0) * (1.0 / sigma)

    return denoise


@dataclass(frozen=True)
class ConvergenceProblem:
    """An ODE problem with a known solution: six points, from time ``start`` to ``end``.

    Attributes
    ----------
    name : name of the problem
    schedule : Schedule
    start, end : first and last time; sigma is positive at the end
    """

    name: str
    schedule: Schedule
    start: float
    end: float

    @cached_property
    def x(self) -> np.ndarray:
        """The points at the start, (6, 1)."""
        return float(self.schedule.sigma(self.start)) * np.array(STARTS)[:, None]

    @cached_property
    def solution(self) -> np.ndarray:
        """The exact solution at the end, (6, 1)."""
        return DATA.flow(self.schedule, self.x, self.start, self.end)

    def timesteps(self, steps: int) -> np.ndarray:
        """N + 1 timesteps, uniform in log-SNR, with exact ends."""
        ends = self.schedule.log_snr(self.start), self.schedule.log_snr(self.end)
        inner = self.schedule.time_at(np.linspace(*ends, steps + 1)[1:-1])
        return np.concatenate([[self.start], inner, [self.end]])

    def solve(self, sampler: str, steps: int, options: Mapping[str, Any]) -> tuple[float, int]:
        """The largest error over the six points, and the number of denoiser evaluations."""
        exact, evaluations = denoiser(self.schedule), 0

        def denoise(x: Array, t: Times) -> tuple[Array, Array]:
            nonlocal evaluations
            evaluations += 1
            return exact(x, t)

        run: Callable[..., Any] = SAMPLERS[sampler]
        *_, last = run(denoise, self.schedule, self.x, self.timesteps(steps), **options)
        return float(np.abs(last.x - self.solution).max()), evaluations


#: Sigma from 20 down to .05 with alpha = 1; the linear variance-preserving SDE from t = 1; and a
#: start at sigma = 1, where the error of a multistep solver's first steps is visible.
TEST_PROBLEMS: dict[str, ConvergenceProblem] = {
    "ve": ConvergenceProblem("ve", EDM(), 20.0, 0.05),
    "vp": ConvergenceProblem("vp", LinearVP(), 1.0, 0.02),
    "late": ConvergenceProblem("late", EDM(), 1.0, 0.05),
}


@dataclass(frozen=True)
class Claim:
    """The claimed order of a deterministic solver.

    Attributes
    ----------
    sampler : name in :data:`npdiff.samplers.SAMPLERS`
    order : order of the global error
    label : label of the equation of its step; the check of the order names it
    options : options of the sampler
    evaluations : denoiser evaluations per step, after the first steps
    extra : evaluations beyond N times that
    steps : number of steps from which the order is visible
    problems : problems on which it is measured; some multistep solvers miss it from a late start
    """

    sampler: str
    order: float
    label: str
    options: Mapping[str, Any] = field(default_factory=dict)
    evaluations: int = 1
    extra: int = 0
    steps: int = 96
    problems: tuple[str, ...] = ("ve", "vp", "late")

    @property
    def name(self) -> str:
        """The sampler and its options: ``unipc order=3``."""
        return " ".join((self.sampler, *(f"{k}={v}" for k, v in self.options.items())))


@dataclass(frozen=True)
class Convergence:
    """The measured convergence of a solver on a problem.

    Attributes
    ----------
    claim : Claim
    problem : name of the problem
    steps : numbers of steps N, ascending
    errors : the largest error over the six points at each N
    evaluations : denoiser evaluations at each N
    """

    claim: Claim
    problem: str
    steps: tuple[int, ...]
    errors: tuple[float, ...]
    evaluations: tuple[int, ...]

    @property
    def slopes(self) -> tuple[float, ...]:
        r"""The observed order between successive numbers of steps N < M.

        .. math::
            :label: observed-order

            p = \frac{\log \lVert x^{(N)} - x^\star \rVert_\infty
                     - \log \lVert x^{(M)} - x^\star \rVert_\infty}{\log M - \log N}

        with the exact solution :math:`x^\star`: p for a solver of order p, once N is large enough.
        """
        log_errors, log_steps = np.log(self.errors), np.log(self.steps)
        return tuple((-np.diff(log_errors) / np.diff(log_steps)).tolist())

    @property
    def slope(self) -> float:
        """The observed order at the largest numbers of steps."""
        return self.slopes[-1]


def measure(claim: Claim, problem: str, steps: Sequence[int] | None = None) -> Convergence:
    """Measure the global error of a solver on a problem at several numbers of steps.

    Parameters
    ----------
    claim : Claim
    problem : a key of :data:`TEST_PROBLEMS`
    steps : two or more N, ascending (default: the claim's number and its double)
    """
    counts = (claim.steps, 2 * claim.steps) if steps is None else tuple(steps)
    solved = [TEST_PROBLEMS[problem].solve(claim.sampler, n, claim.options) for n in counts]
    errors, evaluations = zip(*solved, strict=True)
    return Convergence(claim, problem, counts, errors, evaluations)


_START = {"start": "singlestep"}
_RUNGE_KUTTA = {"start": "runge-kutta"}

#: The claimed orders of the deterministic solvers; each is a check and a line of the documentation.
CLAIMS: tuple[Claim, ...] = (
    Claim("ddim", 1, "ddim-step"),
    Claim("euler", 1, "euler-step"),
    Claim("heun", 2, "heun-step", evaluations=2),
    Claim("dpm-solver", 1, "dpm-solver-1", {"order": 1}),
    Claim("dpm-solver", 2, "dpm-solver-2", {"order": 2}, evaluations=2),
    Claim("dpm-solver", 3, "dpm-solver-3", {"order": 3}, evaluations=3),
    Claim("dpm-solver", 3, "dpm-solver-3", {"order": 3, "prediction": "x0"}, evaluations=3),
    Claim("dpm-solver-multistep", 2, "dpm-solver-multistep", {"order": 2}),
    Claim("dpm-solver-multistep", 2, "dpm-solver-multistep", {"order": 2, "midpoint": False}),
    Claim("dpm-solver-multistep", 3, "dpm-solver-multistep", {"order": 3, **_START}, extra=1),
    Claim("dpmpp-2s", 2, "dpmpp-2s", evaluations=2),
    Claim("dpmpp-multistep", 2, "dpmpp-2m", {"order": 2}),
    Claim("dpmpp-multistep", 2, "dpmpp-2m", {"order": 2, "midpoint": False}),
    Claim("dpmpp-multistep", 3, "dpmpp-3m", {"order": 3, **_START}, extra=1, steps=384),
    Claim("dpmpp-multistep", 2, "dpmpp-3m", {"order": 3, "legacy": True}, steps=384),
    Claim("dpmpp-sde", 2, "exponential-sde", {"order": 2, "eta": 0.0}),
    Claim("unipc", 2, "unic", {"order": 1}),
    Claim("unipc", 3, "unic", {"order": 2}),
    Claim("unipc", 4, "unic", {"order": 3, **_START}, extra=2, steps=512),
    Claim("unipc", 3, "unic", {"order": 2, "variant": "bh1"}, steps=192),
    Claim("unipc", 3, "unic", {"order": 2, "prediction": "eps"}, steps=192),
    Claim("unipc", 2, "unip", {"order": 2, "corrector": False}),
    Claim("unipc", 3, "unip", {"order": 3, "corrector": False, **_START}, extra=2, steps=192),
    Claim("deis", 1, "deis-step", {"order": 1}),
    Claim("deis", 2, "deis-step", {"order": 2}),
    Claim("deis", 3, "deis-step", {"order": 3, **_START}, extra=1, steps=192),
    Claim("deis", 2, "deis-step", {"order": 2, "variable": "rho"}),
    Claim("deis", 3, "deis-step", {"order": 3, "variable": "rho", **_START}, extra=1, steps=192),
    Claim("deis", 2, "deis-step", {"order": 2, "variable": "log-rho"}),
    Claim("deis", 3, "deis-step", {"order": 3, "variable": "log-rho", **_START}, extra=1),
    Claim("edm", 2, "edm-step", evaluations=2),
    Claim("plms", 2, "plms-step", extra=1, steps=192),
    Claim("pndm", 2, "pseudo-runge-kutta", extra=9, steps=192),
    Claim("lms", 1, "lms-step", {"order": 1}),
    Claim("lms", 2, "lms-step", {"order": 2}),
    Claim("lms", 3, "lms-step", {"order": 3, **_RUNGE_KUTTA}, extra=6, steps=192),
    Claim("lms", 4, "lms-step", {"order": 4, **_RUNGE_KUTTA}, extra=9, steps=192),
    Claim("euler-ancestral", 1, "euler-ancestral-step", {"eta": 0.0}),
    Claim("dpm2-ancestral", 2, "dpm2-ancestral-step", {"eta": 0.0}, evaluations=2),
)

#: Samplers that choose their steps by a tolerance: the error does not depend on N.
ADAPTIVE = ("ode",)


def samplers_without_claim(samplers: Mapping[str, Callable[..., Any]] | None = None) -> list[str]:
    """Names of the samplers that run without noise and have no claim, adaptive ones left out."""
    samplers = SAMPLERS if samplers is None else samplers
    problem, missing = TEST_PROBLEMS["vp"], []
    denoise = denoiser(problem.schedule)
    for name in samplers.keys() - {claim.sampler for claim in CLAIMS} - {*ADAPTIVE}:
        try:
            list(samplers[name](denoise, problem.schedule, problem.x, problem.timesteps(2)))
        except InputError:  # it needs noise
            continue
        missing.append(name)
    return sorted(missing)
