r"""The order of a solver, measured: how fast its error falls as its steps grow finer.

Two test beds with known truth. The data are a mixture of two Gaussians, whose denoiser is exact;
the probability-flow ODE carries each point along its quantile :eq:`quantile-flow`. Both beds stop
at a positive sigma: a grid that ends at 0 has a last step of infinite length in log-SNR, whose
error no number of steps makes smaller.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.denoiser import Denoise
from npdiff.exact import Gaussian, Mixture
from npdiff.samplers import SAMPLERS
from npdiff.schedules import EDM, LinearVP, Schedule, Times

#: .4 N(-1, .04) + .6 N(.6, .04), the second parameters being variances.
WEIGHTS, MEANS, VARIANCE = (0.4, 0.6), (-1.0, 0.6), 0.04
DATA = Mixture(WEIGHTS, [Gaussian(np.array([mean]), VARIANCE) for mean in MEANS])

#: Where the six points start, in units of the noise.
STARTS = (-1.7, -0.9, -0.2, 0.1, 0.5, 1.3)

#: How far the slope may be from the order that is claimed.
TOLERANCE = 0.15


def denoiser(schedule: Schedule) -> Denoise:
    r"""The exact denoiser of the data, written out for two components of one variance.

    .. math::
        :label: two-component-denoiser

        \mathbb E[x_0 \mid x_t] = \kappa\, x_t
        + (1 - \kappa\, \alpha_t) \Big( \frac{m_1 + m_2}{2}
        + \frac{m_2 - m_1}{2} \tanh \frac{u}{2} \Big),
        \qquad
        u = \log \frac{\pi_2}{\pi_1}
        + \frac{\alpha_t (m_2 - m_1)}{v} \Big( x_t - \alpha_t \frac{m_1 + m_2}{2} \Big)

    with :math:`v = \alpha_t^2 c + \sigma_t^2` and :math:`\kappa = \alpha_t c / v`. An order takes
    thousands of evaluations, and this is many times faster than a mixture of any kind.
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
class TestProblem:
    """A problem with a known answer: carry six points from ``start`` to ``end``.

    Attributes
    ----------
    name : of the bed
    schedule : Schedule
    start, end : times, the end at a positive sigma
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
    def truth(self) -> np.ndarray:
        """Where the ODE carries them, (6, 1)."""
        return DATA.flow(self.schedule, self.x, self.start, self.end)

    def grid(self, steps: int) -> np.ndarray:
        """N + 1 times, uniform in log-SNR, both ends exact."""
        ends = self.schedule.log_snr(self.start), self.schedule.log_snr(self.end)
        inner = self.schedule.time_at(np.linspace(*ends, steps + 1)[1:-1])
        return np.concatenate([[self.start], inner, [self.end]])

    def solve(self, sampler: str, steps: int, options: Mapping[str, Any]) -> tuple[float, int]:
        """The largest error of the six points, and how often the denoiser was asked."""
        exact, asked = denoiser(self.schedule), 0

        def denoise(x: Array, t: Times) -> tuple[Array, Array]:
            nonlocal asked
            asked += 1
            return exact(x, t)

        run: Callable[..., Any] = SAMPLERS[sampler]
        *_, last = run(denoise, self.schedule, self.x, self.grid(steps), **options)
        return float(np.abs(last.x - self.truth).max()), asked


#: Sigma from 20 down to .05 with alpha = 1; the linear variance-preserving SDE from t = 1; and a
#: start in the midst of things, sigma = 1, from which a multistep solver shows how it starts.
TEST_PROBLEMS: dict[str, TestProblem] = {
    "ve": TestProblem("ve", EDM(), 20.0, 0.05),
    "vp": TestProblem("vp", LinearVP(), 1.0, 0.02),
    "late": TestProblem("late", EDM(), 1.0, 0.05),
}


@dataclass(frozen=True)
class Claim:
    """What is said of a deterministic solver.

    Attributes
    ----------
    sampler : its name in :data:`npdiff.samplers.SAMPLERS`
    order : of the global error
    label : the equation of its step, which the check of its order proves
    options : the sampler's own
    evaluations : how often a step asks the denoiser, once it is under way
    extra : how often it asks beyond N times that
    steps : the number of steps from which on the order is seen
    beds : where it is seen; from a late start not every multistep solver's
    """

    sampler: str
    order: float
    label: str
    options: Mapping[str, Any] = field(default_factory=dict)
    evaluations: int = 1
    extra: int = 0
    steps: int = 96
    beds: tuple[str, ...] = ("ve", "vp", "late")

    @property
    def name(self) -> str:
        """The sampler and its options: ``unipc order=3``."""
        return " ".join((self.sampler, *(f"{k}={v}" for k, v in self.options.items())))


@dataclass(frozen=True)
class Convergence:
    """What was measured of a claim on a bed.

    Attributes
    ----------
    claim : Claim
    bed : the name of the bed
    steps : N, ascending
    errors : the largest error of the six points at each N
    asked : how often the denoiser was asked at each N
    """

    claim: Claim
    bed: str
    steps: tuple[int, ...]
    errors: tuple[float, ...]
    asked: tuple[int, ...]

    @property
    def slopes(self) -> tuple[float, ...]:
        r"""The observed order, between neighboring numbers of steps N < M.

        .. math::
            :label: observed-order

            p = \frac{\log \lVert x^{(N)} - x^\star \rVert_\infty
                     - \log \lVert x^{(M)} - x^\star \rVert_\infty}{\log M - \log N}

        with the truth :math:`x^\star`: p for a solver of order p, once N is large enough.
        """
        log_errors, log_steps = np.log(self.errors), np.log(self.steps)
        return tuple((-np.diff(log_errors) / np.diff(log_steps)).tolist())

    @property
    def slope(self) -> float:
        """The observed order at the largest numbers of steps."""
        return self.slopes[-1]


def measure(claim: Claim, bed: str, steps: Sequence[int] | None = None) -> Convergence:
    """The global error of a solver on a bed at several numbers of steps.

    Parameters
    ----------
    claim : Claim
    bed : a key of :data:`TEST_PROBLEMS`
    steps : two or more N, ascending; if None the claim's own number and its double
    """
    counts = (claim.steps, 2 * claim.steps) if steps is None else tuple(steps)
    solved = [TEST_PROBLEMS[bed].solve(claim.sampler, n, claim.options) for n in counts]
    errors, asked = zip(*solved, strict=True)
    return Convergence(claim, bed, counts, errors, asked)


_START = {"start": "singlestep"}
_ALL_ALONG = {"start": "runge-kutta"}

#: What the package says of its deterministic solvers; the checks and the documentation read it.
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
    Claim("lms", 3, "lms-step", {"order": 3, **_ALL_ALONG}, extra=6, steps=192),
    Claim("lms", 4, "lms-step", {"order": 4, **_ALL_ALONG}, extra=9, steps=192),
    Claim("euler-ancestral", 1, "euler-ancestral-step", {"eta": 0.0}),
    Claim("dpm2-ancestral", 2, "dpm2-ancestral-step", {"eta": 0.0}, evaluations=2),
)
