"""Test problems for samplers: data with an exact denoiser and exact results, and recorded calls.

The data are one-dimensional, and each element of a state of any shape is an independent sample of
them: a sampler that requires images is given images.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from npdiff.errors import InputError
from npdiff.exact import Distribution, Gaussian
from npdiff.schedules import Schedule
from npdiff.verify.convergence import STARTS

#: ``sampler(denoise, schedule, x, timesteps) -> x_end``, or an iterator over steps with an ``x``.
Sampler = Callable[..., Any]

#: One point: solvers that are exact for a constant x0_hat make no error here.
POINT = Gaussian(np.array([1.3]), 0.0)
#: Here means and variances are compared: the mean is not 0 and the standard deviation not 1.
NORMAL = Gaussian(np.array([1.5]), 0.25)
#: Data for which a sampler may claim to be exact with any number of steps.
EXACT_FOR = {"point": POINT, "gaussian": NORMAL, "standard": Gaussian(np.array([0.0]), 1.0)}


@dataclass
class CallRecord:
    """The denoiser calls of one run, and the elements of x that the sampler changed.

    Attributes
    ----------
    timesteps : the smallest and the largest time of each call
    mixed_times : calls with more than one time
    modified : elements of the given x that the sampler overwrote
    first : the state of the first call
    """

    timesteps: list[float] = field(default_factory=list)
    mixed_times: int = 0
    modified: int = 0
    first: np.ndarray | None = None


@dataclass(frozen=True)
class TestProblem:
    """One-dimensional data under a schedule, for states of a given shape.

    Attributes
    ----------
    data : Distribution of one dimension
    schedule : Schedule
    shape : of a sample
    """

    __test__ = False  # pytest: not a class of tests

    data: Distribution
    schedule: Schedule
    shape: tuple[int, ...] = (1,)

    @cached_property
    def start(self) -> float:
        """The last time, or the time of log-SNR -8 if there is no signal at the last."""
        last = float(self.schedule.t_max)
        finite = math.isfinite(float(self.schedule.log_snr(last)))
        return last if finite else float(self.schedule.time_at(-8.0))

    @cached_property
    def points(self) -> np.ndarray:
        """Starting points in units of the noise: six samples, (6, \\*shape)."""
        size = math.prod(self.shape)
        index = (np.arange(len(STARTS))[:, None] + np.arange(size)) % len(STARTS)
        return np.array(STARTS)[index].reshape(-1, *self.shape)

    def timesteps(self, start: float, end: float, steps: int) -> np.ndarray:
        """N + 1 times, uniform in log-SNR."""
        ends = self.schedule.log_snr(start), self.schedule.log_snr(end)
        inner = self.schedule.time_at(np.linspace(*ends, steps + 1)[1:-1])
        return np.concatenate([[start], inner, [end]])

    def flow(self, x: np.ndarray, t: float, s: float) -> np.ndarray:
        """The exact solution at s of the probability-flow ODE from x at t."""
        return self.data.flow(self.schedule, x.reshape(-1, 1), t, s).reshape(x.shape)

    def denoise(self, record: CallRecord | None = None) -> Callable[..., Any]:
        """The exact denoiser of the whole state, which records its calls."""
        exact, size = self.data.denoiser(self.schedule), math.prod(self.shape)

        def denoise(x: np.ndarray, t: Any) -> tuple[np.ndarray, np.ndarray]:
            x, t = np.asarray(x, dtype=np.float64), np.asarray(t, dtype=np.float64)
            if x.shape[1:] != self.shape:
                raise InputError(
                    f"the sampler called its denoiser with samples of shape {x.shape[1:]}: "
                    f"expected {self.shape}, the shape of a sample of x"
                )
            if record is not None:
                record.timesteps += [float(t.min()), float(t.max())]
                record.mixed_times += int(t.min() != t.max())
                record.first = np.array(x) if record.first is None else record.first
            per_element = np.repeat(t, size) if t.ndim else t
            x0_hat, eps_hat = exact(x.reshape(-1, 1), per_element)
            return x0_hat.reshape(x.shape), eps_hat.reshape(x.shape)

        return denoise

    def run(
        self,
        sampler: Sampler,
        x: np.ndarray,
        timesteps: np.ndarray,
        record: CallRecord | None = None,
        **options: Any,
    ) -> np.ndarray:
        """The state at the sampler's end: a host array in the sampler's dtype."""
        given = x.copy()
        end = sampler(self.denoise(record), self.schedule, given, timesteps.copy(), **options)
        if isinstance(end, Iterator):
            for step in end:
                last = step
            end = last.x
        if record is not None:
            record.modified = int((given != x).sum())
        found = np.asarray(end)
        if found.shape != x.shape:
            raise InputError(
                f"the sampler returned shape {found.shape} for a state of shape {x.shape}: "
                f"expected the final state of every sample"
            )
        return found


class CountingNoise:
    """Indexed noise that counts repeated indices: a draw used twice is not independent.

    Attributes
    ----------
    indices : the indices of the draws, in the order of their first use
    repeats : how many calls repeated an index
    """

    def __init__(self, values: Callable[[int], np.ndarray]) -> None:
        self.values = values
        self.indices: list[int] = []
        self.repeats = 0

    def __call__(self, i: int) -> np.ndarray:
        if i in self.indices:
            self.repeats += 1
        else:
            self.indices.append(i)
        return self.values(i)
