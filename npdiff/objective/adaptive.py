r"""Times drawn where the loss is large: the loss-aware sampler of improved DDPM.

The sampler learns as training goes on. What it has learnt is a value: a history is replaced, not
changed, so a run that keeps it with its checkpoints goes on as it would have.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from npdiff.errors import InputError
from npdiff.objective.time_samplers import TimeSampler
from npdiff.schedules import Schedule, Times


@dataclass(frozen=True)
class LossHistory:
    """The last losses seen at each time of a chain.

    Attributes
    ----------
    losses : (T, K) array, the last K losses at each time 1..T; the oldest is overwritten first
    counts : (T,) integers, how many there have been
    """

    losses: np.ndarray
    counts: np.ndarray

    @classmethod
    def empty(cls, steps: int, length: int = 10) -> Self:
        """The history before training, for a chain of ``steps`` and ``length`` losses each."""
        return cls(np.zeros((steps, length)), np.zeros(steps, dtype=np.int64))

    def add(self, t: np.ndarray, losses: np.ndarray) -> Self:
        """The history after some samples, in their order.

        Parameters
        ----------
        t : (N,) times, 1..T
        losses : (N,) losses, as they were before a division by the density of their times

        Raises
        ------
        InputError
            If a time is none of the chain's, or a loss is negative or no number.
        """
        rows, losses = np.asarray(t).astype(np.int64) - 1, np.asarray(losses, dtype=np.float64)
        if not ((rows >= 0) & (rows < len(self.counts)) & (rows + 1 == t)).all():
            raise InputError(f"times of this history are whole, from 1 to {len(self.counts)}")
        if not (losses >= 0.0).all():
            raise InputError("a loss is a number from 0 up")
        kept, counts = self.losses.copy(), self.counts.copy()
        for row, loss in zip(rows, losses, strict=True):
            kept[row, counts[row] % kept.shape[1]] = loss
            counts[row] += 1
        return replace(self, losses=kept, counts=counts)

    def probabilities(self, floor: float = 1e-3) -> np.ndarray:
        r"""How often to draw each time 1..T.

        .. math::
            :label: second-moment-sampling

            p_t \propto \sqrt{\mathbb E [L_t^2]},
            \qquad
            L = \sum_t L_t = \mathbb E_{t \sim p} \left[ \frac{L_t}{p_t} \right]

        Uniform until every time has been seen K times; after that a share ``floor`` stays uniform,
        so that no time is forgotten.

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
    """Importance sampling by a :class:`LossHistory`; on a chain.

    Parameters
    ----------
    history : what training has seen so far
    floor : the share of draws that stays uniform
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
                f"a history of {self.p.size} times does not fit: the schedule is "
                + (f"a chain of {schedule.steps}" if schedule.steps else "no chain")
            )
        return self.p.size * self.p[schedule.time(t).astype(np.int64) - 1]
