r"""Loss-aware time sampling: improved DDPM draws times where the loss is large more often.

The sampler's state is an immutable :class:`LossHistory`: adding losses returns a new history. A run
that saves it with its checkpoints resumes exactly.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from npdiff.errors import InputError
from npdiff.objective.time_samplers import TimeSampler
from npdiff.schedules import Schedule, Times


@dataclass(frozen=True)
class LossHistory:
    """The last losses at each time of a discrete schedule.

    Attributes
    ----------
    losses : (T, K) array, the last K losses at each time 1..T; the oldest is overwritten first
    counts : (T,) integers, how many losses each time has received
    """

    losses: np.ndarray
    counts: np.ndarray

    @classmethod
    def empty(cls, steps: int, length: int = 10) -> Self:
        """An empty history for ``steps`` times, with room for ``length`` losses at each."""
        return cls(np.zeros((steps, length)), np.zeros(steps, dtype=np.int64))

    def add(self, t: np.ndarray, losses: np.ndarray) -> Self:
        """A new history with the losses of some samples appended in order.

        Parameters
        ----------
        t : (N,) times, 1..T
        losses : (N,) losses, before the division by the density of their times

        Raises
        ------
        InputError
            If a time is not an integer from 1 to T, or a loss is negative or NaN.
        """
        index, losses = np.asarray(t).astype(np.int64) - 1, np.asarray(losses, dtype=np.float64)
        valid = (index >= 0) & (index < len(self.counts)) & (index + 1 == t)
        if not valid.all():
            raise InputError(
                f"times of this history are integers from 1 to {len(self.counts)}, "
                f"got {np.asarray(t)[~valid][0]:g}"
            )
        if not (losses >= 0.0).all():
            raise InputError(f"losses must be 0 or more, got {losses[~(losses >= 0.0)][0]:g}")
        updated, counts = self.losses.copy(), self.counts.copy()
        for i, loss in zip(index, losses, strict=True):
            updated[i, counts[i] % updated.shape[1]] = loss
            counts[i] += 1
        return replace(self, losses=updated, counts=counts)

    def probabilities(self, floor: float = 1e-3) -> np.ndarray:
        r"""The probability with which to draw each time 1..T, shape (T,).

        .. math::
            :label: second-moment-sampling

            p_t \propto \sqrt{\mathbb E [L_t^2]},
            \qquad
            L = \sum_t L_t = \mathbb E_{t \sim p} \left[ \frac{L_t}{p_t} \right]

        Uniform until every time has K losses. After that a fraction ``floor`` stays uniform, so
        that no time is neglected.

        Notes
        -----
        Nichol and Dhariwal 2021, section 3.3.
        """
        T, length = self.losses.shape
        moments = np.sqrt((self.losses**2).mean(axis=1))
        if self.counts.min() < length or not moments.any():
            return np.full(T, 1.0 / T)
        return (1.0 - floor) * moments / moments.sum() + floor / T


class SecondMoment(TimeSampler):
    """Importance sampling with the probabilities of a :class:`LossHistory`.

    Parameters
    ----------
    history : the losses of the training so far
    floor : the fraction of draws that stays uniform
    """

    importance = True

    def __init__(self, history: LossHistory, floor: float = 1e-3) -> None:
        self.p = history.probabilities(floor)

    def quantile(self, schedule: Schedule, u: np.ndarray) -> np.ndarray:
        below = np.cumsum(self.p)[:-1]
        return 1.0 + np.searchsorted(below, u, side="right")

    def density(self, schedule: Schedule, t: Times) -> np.ndarray:
        if schedule.steps != self.p.size:
            raise InputError(
                f"the loss history has {self.p.size} times, and the schedule "
                + (f"has {schedule.steps} steps" if schedule.steps else "is continuous")
                + ": build the history with LossHistory.empty(schedule.steps)"
            )
        return self.p.size * self.p[np.asarray(schedule.time(t), dtype=np.int64) - 1]
