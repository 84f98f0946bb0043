"""A sampler on trial: data whose answers are known, a denoiser that keeps a record, noise to count.

The data are one-dimensional, and a state of any shape is taken for that many independent numbers:
a sampler that wants images is given images.
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

#: ``my(denoise, schedule, x, timesteps) -> x_end``, or an iterator over steps whose last has an ``x``.
Sampler = Callable[..., Any]

#: Data that are a point: there a solver that is exact where x0_hat is constant makes no error.
POINT = Gaussian(np.array([1.3]), 0.0)
#: Data on which moments are compared: the mean is not 0 and the standard deviation not 1.
NORMAL = Gaussian(np.array([1.5]), 0.25)
#: What a sampler may be claimed to be exact for, at any number of steps.
EXACT_FOR = {"point": POINT, "gaussian": NORMAL, "standard": Gaussian(np.array([0.0]), 1.0)}


@dataclass
class Record:
    """When the denoiser was asked, first for what, and what became of the state given."""

    timesteps: list[float] = field(default_factory=list)
    several: int = 0
    written: int = 0
    first: np.ndarray | None = None


@dataclass(frozen=True)
class Trial:
    """A distribution of single numbers under a schedule, for states of a given shape.

    Attributes
    ----------
    data : Distribution of one dimension
    schedule : Schedule
    shape : of a sample
    """

    data: Distribution
    schedule: Schedule
    shape: tuple[int, ...] = (1,)

    @cached_property
    def start(self) -> float:
        """The last time, or, where no signal at all is left there, one with log-SNR -8."""
        last = float(self.schedule.t_max)
        finite = math.isfinite(float(self.schedule.log_snr(last)))
        return last if finite else float(self.schedule.time_at(-8.0))

    @cached_property
    def points(self) -> np.ndarray:
        """Starting points in units of the noise: six samples."""
        size = math.prod(self.shape)
        index = (np.arange(len(STARTS))[:, None] + np.arange(size)) % len(STARTS)
        return np.array(STARTS)[index].reshape(-1, *self.shape)

    def grid(self, start: float, end: float, steps: int) -> np.ndarray:
        """N + 1 times, uniform in log-SNR."""
        ends = self.schedule.log_snr(start), self.schedule.log_snr(end)
        inner = self.schedule.time_at(np.linspace(*ends, steps + 1)[1:-1])
        return np.concatenate([[start], inner, [end]])

    def flow(self, x: np.ndarray, t: float, s: float) -> np.ndarray:
        """Where the probability-flow ODE carries every number."""
        return self.data.flow(self.schedule, x.reshape(-1, 1), t, s).reshape(x.shape)

    def denoise(self, record: Record | None = None) -> Callable[..., Any]:
        """The perfect denoiser of the whole state; keeps a record of what it is asked."""
        exact, size = self.data.denoiser(self.schedule), math.prod(self.shape)

        def denoise(x: np.ndarray, t: Any) -> tuple[np.ndarray, np.ndarray]:
            x, t = np.asarray(x, dtype=np.float64), np.asarray(t, dtype=np.float64)
            if x.shape[1:] != self.shape:
                raise InputError(
                    f"the sampler asked its denoiser for samples of shape {x.shape[1:]}, "
                    f"and its state has samples of shape {self.shape}"
                )
            if record is not None:
                record.timesteps += [float(t.min()), float(t.max())]
                record.several += int(t.min() != t.max())
                record.first = np.array(x) if record.first is None else record.first
            each = np.repeat(t, size) if t.ndim else t
            x_0, eps = exact(x.reshape(-1, 1), each)
            return x_0.reshape(x.shape), eps.reshape(x.shape)

        return denoise

    def run(
        self,
        my: Sampler,
        x: np.ndarray,
        timesteps: np.ndarray,
        record: Record | None = None,
        **more: Any,
    ) -> np.ndarray:
        """Where the sampler ends, a host array in its own dtype."""
        given = x.copy()
        end = my(self.denoise(record), self.schedule, given, timesteps.copy(), **more)
        if isinstance(end, Iterator):
            for step in end:
                last = step
            end = last.x
        if record is not None:
            record.written = int((given != x).sum())
        found = np.asarray(end)
        if found.shape != x.shape:
            raise InputError(
                f"the sampler returned shape {found.shape} for a state of shape {x.shape}: "
                f"expected where all samples end"
            )
        return found


class Draws:
    """Numbered noise that counts: each number is asked for once, or the draws are not independent.

    Attributes
    ----------
    numbers : those asked for, in the order of the first time
    repeats : how often one was asked for again
    """

    def __init__(self, values: Callable[[int], np.ndarray]) -> None:
        self.values = values
        self.numbers: list[int] = []
        self.repeats = 0

    def __call__(self, i: int) -> np.ndarray:
        if i in self.numbers:
            self.repeats += 1
        else:
            self.numbers.append(i)
        return self.values(i)
