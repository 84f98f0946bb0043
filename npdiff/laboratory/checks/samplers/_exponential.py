"""Problems and methods for the checks of exponential integrators."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff.backend import Array, namespace, to_host
from npdiff.laboratory.quadrature import denoiser_in_time, integral
from npdiff.laboratory.registry import Case
from npdiff.samplers import SAMPLERS
from npdiff.schedules import EDM, VE, Cosine, LinearVP, RectifiedFlow, Schedule, SubVP, Times

SCHEDULES: tuple[Schedule, ...] = (
    LinearVP(), Cosine(), EDM(), VE(), SubVP(), RectifiedFlow(3.0),
)  # fmt: skip


def lambdas(case: Case, steps: int) -> np.ndarray:
    """Uneven ascending half log-SNRs, within the range of every schedule."""
    return -2.0 + 4.0 * np.sort(case.rng.uniform(size=steps + 1)) + 0.1 * np.arange(steps + 1)


@dataclass
class Paper:
    """A schedule in the symbols of DPM-Solver, and a denoiser nonlinear in x and in time."""

    schedule: Schedule

    def __post_init__(self) -> None:
        self.calls: list[float] = []

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
        """x_theta and epsilon_theta with the package's signature."""
        self.calls.append(float(t))
        return self.data(x, float(t)), self.noise(x, float(t))


def problem(case: Case, steps: int) -> tuple[Paper, np.ndarray, Array]:
    """A schedule, uneven timesteps and a start."""
    schedule = case.choose(SCHEDULES)
    return Paper(schedule), schedule.time_at(2.0 * lambdas(case, steps)), case.normal((5,))


def trajectory(
    name: str, paper: Paper, x: Array, timesteps: np.ndarray, **options: Any
) -> list[Array]:
    """The states of a sampler."""
    steps = SAMPLERS[name](paper.denoise, paper.schedule, x, timesteps, **options)
    return [step.x for step in steps]


def weights(
    kernel: Callable[[np.ndarray], np.ndarray], nodes: Sequence[float], a: float, b: float
) -> np.ndarray:
    """The integrals from a to b of the kernel times the Lagrange polynomial of each node."""

    def basis(k: int) -> Callable[[np.ndarray], np.ndarray]:
        others = [node for j, node in enumerate(nodes) if j != k]
        return lambda u: kernel(u) * np.prod([(u - v) / (nodes[k] - v) for v in others], axis=0)

    return np.array([integral(basis(k), a, b) for k in range(len(nodes))])


def adams_states(
    p: Paper, timesteps: np.ndarray, x: np.ndarray, m: np.ndarray, noise: bool, order: int,
    corrector: bool = False,
) -> np.ndarray:  # fmt: skip
    """An exponential Adams method whose weights are integrals, by Gauss quadrature.

    Returns the predicted states of the method that extrapolates the last ``order`` of the known
    estimates m, (steps, N), and with the corrector interpolates one more.
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


def states_from_estimates(
    case: Case, name: str, p: Paper, x: np.ndarray, timesteps: np.ndarray, m: np.ndarray,
    smooth: str, **options: Any,
) -> np.ndarray:  # fmt: skip
    """The states of a sampler whose denoiser returns m[i] at times[i] for every x."""
    denoise = denoiser_in_time(
        p.schedule, smooth, lambda t: m[np.argmin(np.abs(timesteps - float(t)))]
    )
    steps = SAMPLERS[name](denoise, p.schedule, case.array(x), timesteps, **options)
    return np.array([to_host(step.x) for step in steps])
