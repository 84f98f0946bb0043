"""Checks of the solvers of the DPM family: the papers line by line, and weights by quadrature."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from npdiff.backend import Array, namespace, to_host
from npdiff.laboratory.checks.exponential import SCHEDULES, places
from npdiff.laboratory.quadrature import integral, known
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import SAMPLERS, ddim
from npdiff.schedules import Schedule, Times


@dataclass
class Paper:
    """A schedule in the symbols of DPM-Solver, and a denoiser that is bent in x and in time."""

    schedule: Schedule

    def __post_init__(self) -> None:
        self.asked: list[float] = []

    def a(self, t: float) -> float:
        return float(self.schedule.alpha(t))

    def sigma(self, t: float) -> float:
        return float(self.schedule.sigma(t))

    def lam(self, t: float) -> float:
        return float(np.log(self.schedule.alpha(t) / self.schedule.sigma(t)))

    def data(self, x: Array, t: float) -> Array:
        """x_theta."""
        return 0.4 + namespace(x).sin(1.3 * x + self.lam(t)) * 0.7

    def noise(self, x: Array, t: float) -> Array:
        """epsilon_theta."""
        return (x - self.a(t) * self.data(x, t)) / self.sigma(t)

    def denoise(self, x: Array, t: Times) -> tuple[Array, Array]:
        """The same as the package asks for it."""
        self.asked.append(float(t))
        return self.data(x, float(t)), self.noise(x, float(t))


def problem(case: Case, steps: int) -> tuple[Paper, np.ndarray, Array]:
    """A schedule, an uneven grid of it and a start."""
    schedule = case.choose(SCHEDULES)
    return Paper(schedule), schedule.time_at(2.0 * places(case, steps)), case.normal((5,))


def trajectory(
    name: str, paper: Paper, x: Array, timesteps: np.ndarray, **options: Any
) -> list[Array]:
    """Where the sampler's steps lead."""
    steps = SAMPLERS[name](paper.denoise, paper.schedule, x, timesteps, **options)
    return [step.x for step in steps]


@check(
    "dpm-solver-1", "dpm-solver-2", "dpm-solver-3", "intermediate-times",
    route="the paper line by line", tolerance=1e-11, cases=6,
)  # fmt: skip
def dpm_solver_line_by_line(case: Case) -> dict[str, float]:
    """Singlestep solvers against the paper's algorithms with its exponentials written out."""
    p, timesteps, x = problem(case, 2)
    a, sigma, lam, eps = p.a, p.sigma, p.lam, p.noise

    def t_of(place: float) -> float:
        return float(p.schedule.time_at(2.0 * place))

    def one(x: Array, t: float, s: float) -> Array:
        h = lam(s) - lam(t)
        return a(s) / a(t) * x - sigma(s) * (np.exp(h) - 1.0) * eps(x, t)

    def two(x: Array, t: float, s: float, r1: float = 1 / 2) -> Array:
        h = lam(s) - lam(t)
        s1 = t_of(lam(t) + r1 * h)
        u = a(s1) / a(t) * x - sigma(s1) * (np.exp(r1 * h) - 1.0) * eps(x, t)
        change = eps(u, s1) - eps(x, t)
        return one(x, t, s) - sigma(s) / (2 * r1) * (np.exp(h) - 1.0) * change

    def three(x: Array, t: float, s: float, r1: float = 1 / 3, r2: float = 2 / 3) -> Array:
        h = lam(s) - lam(t)
        s1, s2 = t_of(lam(t) + r1 * h), t_of(lam(t) + r2 * h)
        u1 = a(s1) / a(t) * x - sigma(s1) * (np.exp(r1 * h) - 1.0) * eps(x, t)
        D1 = eps(u1, s1) - eps(x, t)
        u2 = a(s2) / a(t) * x - sigma(s2) * (np.exp(r2 * h) - 1.0) * eps(x, t)
        u2 = u2 - sigma(s2) * r2 / r1 * ((np.exp(r2 * h) - 1.0) / (r2 * h) - 1.0) * D1
        D2 = eps(u2, s2) - eps(x, t)
        return one(x, t, s) - sigma(s) / r2 * ((np.exp(h) - 1.0) / h - 1.0) * D2

    residuals = {}
    for order, step in enumerate((one, two, three), start=1):
        y = x
        for t, s in pairwise(timesteps.tolist()):
            y = step(y, t, s)
        options = {} if order == 2 else {"order": order}  # 2 is the default
        found = trajectory("dpm-solver", p, x, timesteps, **options)[-1]
        residuals[f"dpm-solver-{order}"] = relative(found, to_host(y))
    *_, last = ddim(p.denoise, p.schedule, x, timesteps)
    first = trajectory("dpm-solver", p, x, timesteps, order=1)[-1]
    residuals["dpm-solver-1"] = max(residuals["dpm-solver-1"], relative(first, to_host(last.x)))
    p.asked.clear()
    trajectory("dpm-solver", p, x, timesteps[:2], order=3)
    asked = [lam(t) for t in p.asked]
    even = np.linspace(lam(timesteps[0]), lam(timesteps[1]), 4)[:3]
    return {**residuals, "intermediate-times": relative(np.array(asked), even)}


@check(
    "dpmpp-2s", "dpmpp-2m", "dpmpp-3m", "dpm-solver-multistep",
    route="the papers and the code they published, line by line", tolerance=1e-11, cases=6,
)  # fmt: skip
def dpmpp_line_by_line(case: Case) -> dict[str, float]:
    """2S, 2M, the published 3M and both in eps against their algorithms with r and D."""
    p, timesteps, x = problem(case, 5)
    a, sigma, lam = p.a, p.sigma, p.lam
    times = timesteps.tolist()

    y, two_s = x, []
    for t, s in pairwise(times):
        h, r = lam(s) - lam(t), 1 / 2
        s1 = float(p.schedule.time_at(2.0 * (lam(t) + r * h)))
        u = sigma(s1) / sigma(t) * y - a(s1) * (np.exp(-r * h) - 1.0) * p.data(y, t)
        D = (1 - 1 / (2 * r)) * p.data(y, t) + 1 / (2 * r) * p.data(u, s1)
        y = sigma(s) / sigma(t) * y - a(s) * (np.exp(-h) - 1.0) * D
        two_s.append(to_host(y))

    def legacy(noise: bool, order: int) -> np.ndarray:
        """The multistep formulas of public code: those in the noise have h for -h."""
        model, c = (p.noise, sigma) if noise else (p.data, a)
        y, past = x, []
        for i, (t, s) in enumerate(pairwise(times)):
            h = lam(s) - lam(t)
            z = h if noise else -h
            phi_1 = np.exp(z) - 1.0
            phi_2, phi_3 = phi_1 / z - 1.0, (phi_1 / z - 1.0) / z - 0.5
            past.append(model(y, t))
            y = (a(s) / a(t) if noise else sigma(s) / sigma(t)) * y - c(s) * phi_1 * past[-1]
            if i == 0:
                continue
            r0 = (lam(t) - lam(times[i - 1])) / h
            D1_0 = (past[-1] - past[-2]) / r0
            if i == 1 or order == 2:
                y = y - c(s) * (0.5 * phi_1 if order == 2 else phi_2) * D1_0
                continue
            r1 = (lam(times[i - 1]) - lam(times[i - 2])) / h
            D1_1 = (past[-2] - past[-3]) / r1
            D1 = D1_0 + r0 / (r0 + r1) * (D1_0 - D1_1)
            D2 = (D1_0 - D1_1) / (r0 + r1)
            y = y - c(s) * phi_2 * D1 - c(s) * phi_3 * D2
        return to_host(y)

    def found(name: str, **options: Any) -> np.ndarray:
        return to_host(trajectory(name, p, x, timesteps, **options)[-1])

    return {
        "dpmpp-2s": relative(np.array(two_s), np.array([
            to_host(step) for step in trajectory("dpmpp-2s", p, x, timesteps)
        ])),
        "dpmpp-2m": relative(found("dpmpp-multistep"), legacy(False, 2)),
        "dpmpp-3m": relative(
            found("dpmpp-multistep", order=3, legacy=True), legacy(False, 3)
        ),
        "dpm-solver-multistep": max(
            relative(found("dpm-solver-multistep"), legacy(True, 2)),
            relative(found("dpm-solver-multistep", order=3, legacy=True), legacy(True, 3)),
        ),
    }  # fmt: skip


def weights(
    kernel: Callable[[np.ndarray], np.ndarray], nodes: Sequence[float], a: float, b: float
) -> np.ndarray:
    """The integrals from a to b of the kernel times each of the nodes' Lagrange polynomials."""

    def basis(k: int) -> Callable[[np.ndarray], np.ndarray]:
        others = [node for j, node in enumerate(nodes) if j != k]
        return lambda u: kernel(u) * np.prod([(u - v) / (nodes[k] - v) for v in others], axis=0)

    return np.array([integral(basis(k), a, b) for k in range(len(nodes))])


def textbook(
    p: Paper, timesteps: np.ndarray, x: np.ndarray, m: np.ndarray, noise: bool, order: int,
    corrector: bool = False,
) -> np.ndarray:  # fmt: skip
    """An exponential Adams method: every weight is an integral, by Gauss's quadrature.

    Predicted states of the method that extrapolates the last ``order`` of the known estimates m,
    (steps, N), and with the corrector interpolates one more.
    """
    times, lam = timesteps.tolist(), [p.lam(t) for t in timesteps]

    def step(y: np.ndarray, i: int, known: list[int]) -> np.ndarray:
        t, s = times[i], times[i + 1]

        def kernel(u: np.ndarray) -> np.ndarray:
            return -p.a(s) * np.exp(-u) if noise else p.sigma(s) * np.exp(u)

        w = weights(kernel, [lam[k] for k in known], lam[i], lam[i + 1])
        return (p.a(s) / p.a(t) if noise else p.sigma(s) / p.sigma(t)) * y + w @ m[known]

    states, y = [], x
    for i in range(len(times) - 1):
        if corrector and i > 0:
            y = step(y, i - 1, [*range(max(0, i - order), i), i])
        predicted = step(y, i, list(range(max(0, i + 1 - order), i + 1)))
        states.append(predicted)
        y = y if corrector else predicted
    return np.array(states)


def fed(
    case: Case, name: str, p: Paper, x: np.ndarray, timesteps: np.ndarray, m: np.ndarray, smooth: str,
    **options: Any,
) -> np.ndarray:  # fmt: skip
    """The states of a sampler whose denoiser answers m[i] at times[i], whatever x is."""
    denoise = known(p.schedule, smooth, lambda t: m[np.argmin(np.abs(timesteps - float(t)))])
    steps = SAMPLERS[name](denoise, p.schedule, case.array(x), timesteps, **options)
    return np.array([to_host(step.x) for step in steps])


@check(
    "dpm-solver-multistep", "dpmpp-2m", "dpmpp-3m", "unip",
    route="Lagrange polynomials integrated by quadrature", tolerance=1e-10, cases=6,
)  # fmt: skip
def multistep_weights_by_quadrature(case: Case) -> dict[str, float]:
    """Multistep solvers fed with random estimates against weights that are integrals."""
    p, timesteps, x = problem(case, 6)
    x, m = to_host(x), case.rng.standard_normal((6, 5))
    residuals = dict.fromkeys(("dpm-solver-multistep", "dpmpp-2m", "dpmpp-3m", "unip"), 0.0)
    for order in (1, 2, 3):
        for prediction in ("eps", "x0"):
            expected = textbook(p, timesteps, x, m, prediction == "eps", order)
            name = "dpm-solver-multistep" if prediction == "eps" else "dpmpp-multistep"
            found = fed(case, name, p, x, timesteps, m, prediction, order=order, midpoint=False)
            label = name if prediction == "eps" else f"dpmpp-{max(2, order)}m"
            residuals[label] = max(residuals[label], relative(found, expected))
            found = fed(
                case, "unipc", p, x, timesteps, m, prediction,
                order=order, variant="exact", corrector=False, prediction=prediction,
            )  # fmt: skip
            residuals["unip"] = max(residuals["unip"], relative(found, expected))
    return residuals
