r"""Time samplers: the distributions from which training draws its times, as functions of a key.

The density of the times acts as a weighting. If it is meant as part of the loss (SD3, EDM), nothing
more is done. If it should only reduce the variance of the same loss, *importance sampling*, the
weight of each sample is divided by it.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from npdiff.errors import InputError
from npdiff.random import Key
from npdiff.registry import HasAttributes, Registry
from npdiff.schedules import Schedule, Times


class TimeSampler(ABC):
    """A distribution of training times.

    Attributes
    ----------
    importance : whether weights are divided by the density, so that the expected loss equals that
        with uniform times
    """

    importance: bool = False

    @abstractmethod
    def quantile(self, schedule: Schedule, u: np.ndarray) -> np.ndarray:
        """The times at the quantiles ``u``, (N,); integers on a discrete schedule."""

    @abstractmethod
    def density(self, schedule: Schedule, t: Times) -> np.ndarray:
        """The density at t relative to the uniform density."""

    def __call__(self, schedule: Schedule, key: Key) -> np.ndarray:
        """One time per sample of the key, (N,) float64 on the host."""
        return self.quantile(schedule, key.uniform())


@dataclass(frozen=True)
class Uniform(TimeSampler):
    """Uniform on 1..T of a discrete schedule, or on (t_min, t_max)."""

    def quantile(self, schedule: Schedule, u: np.ndarray) -> np.ndarray:
        if schedule.steps is not None:
            return np.ceil(schedule.steps * u)
        return schedule.t_min + (schedule.t_max - schedule.t_min) * u

    def density(self, schedule: Schedule, t: Times) -> np.ndarray:
        return np.ones_like(schedule.time(t))

    def __call__(self, schedule: Schedule, key: Key) -> np.ndarray:
        if schedule.steps is not None:
            return 1.0 + key.integers(schedule.steps)
        return super().__call__(schedule, key)


@dataclass(frozen=True)
class LowDiscrepancy(TimeSampler):
    r"""Low-discrepancy times: evenly distributed over a batch, with the same marginal distribution.

    .. math::
        :label: low-discrepancy

        u_i = (u + \phi_2(i)) \bmod 1

    One uniform u is drawn per step. The radical inverse phi_2 mirrors the binary digits of the
    sample's index at the binary point: 0, 1/2, 1/4, 3/4, 1/8, ... The first :math:`2^k` samples of
    a batch therefore have one time in each of :math:`2^k` equal parts, as with VDM's
    :math:`u_i = (u + i / k) \bmod 1`, but the times do not depend on the size of the batch.

    Parameters
    ----------
    base : the time sampler whose quantiles are used

    Notes
    -----
    Kingma et al. 2021, appendix; van der Corput 1935 for the sequence.
    """

    base: TimeSampler = Uniform()

    @property
    def importance(self) -> bool:  # type: ignore[override]
        return self.base.importance

    def quantile(self, schedule: Schedule, u: np.ndarray) -> np.ndarray:
        return self.base.quantile(schedule, u)

    def density(self, schedule: Schedule, t: Times) -> np.ndarray:
        return self.base.density(schedule, t)

    def __call__(self, schedule: Schedule, key: Key) -> np.ndarray:
        u = replace(key, samples=np.zeros(1, dtype=np.int64)).fold("offset").uniform()
        u = (u + radical_inverse(np.asarray(key.samples))) % 1.0
        return self.quantile(schedule, u)


def radical_inverse(index: np.ndarray) -> np.ndarray:
    """Integers below 2**32 with their binary digits mirrored at the binary point.

    >>> radical_inverse(np.array([0, 1, 2, 3, 4])).tolist()
    [0.0, 0.5, 0.25, 0.75, 0.125]
    """
    bits = (np.asarray(index, dtype=np.uint64)[:, None] >> np.arange(32, dtype=np.uint64)) & 1
    return bits @ 0.5 ** np.arange(1.0, 33.0)


class TransformedNormal(TimeSampler):
    """Times that an increasing function maps to a (truncated) standard normal variable z."""

    @abstractmethod
    def to_normal(self, schedule: Schedule, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """z at the time t, and dz / dt."""

    @abstractmethod
    def from_normal(self, schedule: Schedule, z: np.ndarray) -> np.ndarray:
        """The time t at which the function is z."""

    def quantile(self, schedule: Schedule, u: np.ndarray) -> np.ndarray:
        low, high = self._ends(schedule)
        inverse = NormalDist().inv_cdf
        z = np.array([inverse(p) for p in (low + (high - low) * u).tolist()])
        t = np.clip(self.from_normal(schedule, z), _lower_end(schedule), schedule.t_max)
        return t if schedule.steps is None else np.maximum(np.ceil(t), 1.0)

    def density(self, schedule: Schedule, t: Times) -> np.ndarray:
        t = np.asarray(schedule.time(t))
        low, high = self._ends(schedule)
        if schedule.steps is not None:
            inside = self._probability_below(schedule, t) - self._probability_below(
                schedule, t - 1.0
            )
            return schedule.steps * inside / (high - low)
        z, slope = self.to_normal(schedule, t)
        bell = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
        return (schedule.t_max - schedule.t_min) * bell * slope / (high - low)

    def _ends(self, schedule: Schedule) -> tuple[float, float]:
        low, high = self._probability_below(
            schedule, np.array([_lower_end(schedule), schedule.t_max])
        ).tolist()
        return low, high

    def _probability_below(self, schedule: Schedule, t: np.ndarray) -> np.ndarray:
        """The probability of a time below t, before truncation."""
        z, _ = self.to_normal(schedule, t)
        below = [0.5 * math.erfc(-x / math.sqrt(2.0)) for x in np.ravel(z).tolist()]
        return np.array(below).reshape(np.shape(z))


def _lower_end(schedule: Schedule) -> float:
    """The lower end of the times: 0 on a discrete schedule, where time 1 covers (0, 1]."""
    return 0.0 if schedule.steps is not None else schedule.t_min


@dataclass(frozen=True)
class LogitNormal(TransformedNormal):
    r"""Logit-normal times: more of them in the middle of the interval.

    .. math::
        :label: logit-normal

        \log \frac{t}{1 - t} \sim \mathcal N(m, s^2)

    with t in units of ``t_max``, truncated to the training times.

    Parameters
    ----------
    mean, deviation : m and s

    Notes
    -----
    Esser et al. 2024, section 3.1.
    """

    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        _positive(self.deviation)

    def to_normal(self, schedule: Schedule, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fraction = t / schedule.t_max
        with np.errstate(divide="ignore"):
            logit = np.log(fraction) - np.log1p(-fraction)
            slope = 1.0 / (fraction * (1.0 - fraction) * schedule.t_max * self.deviation)
        return (logit - self.mean) / self.deviation, slope

    def from_normal(self, schedule: Schedule, z: np.ndarray) -> np.ndarray:
        return schedule.t_max / (1.0 + np.exp(-(self.mean + self.deviation * z)))


@dataclass(frozen=True)
class LogNormal(TransformedNormal):
    r"""EDM's time sampler: the noise level is log-normal.

    .. math::
        :label: log-normal-noise

        \log \varsigma_t = \log \frac{\sigma_t}{\alpha_t} = -\tfrac12 \lambda_t
        \sim \mathcal N(m, s^2)

    truncated to the noise levels of the schedule.

    Parameters
    ----------
    mean, deviation : m and s

    Notes
    -----
    Karras et al. 2022, section 5 and Table 1.
    """

    mean: float = -1.2
    deviation: float = 1.2

    def __post_init__(self) -> None:
        _positive(self.deviation)

    def to_normal(self, schedule: Schedule, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        level = -0.5 * schedule.log_snr(t)
        with np.errstate(invalid="ignore"):
            slope = schedule.log_sigma_dot(t) - schedule.log_alpha_dot(t)
        return (level - self.mean) / self.deviation, slope / self.deviation

    def from_normal(self, schedule: Schedule, z: np.ndarray) -> np.ndarray:
        ends = schedule.log_snr(schedule.t_max), schedule.log_snr(_lower_end(schedule))
        return schedule.time_at(np.clip(-2.0 * (self.mean + self.deviation * z), *ends))


def _positive(deviation: float) -> None:
    if not 0.0 < deviation < math.inf:
        raise InputError(f"deviation must be positive and finite, got {deviation}")


#: Time samplers by name.
TIME_SAMPLERS: Registry[TimeSampler, TimeSampler] = Registry(
    "time sampler",
    "an object of a subclass of npdiff.objective.TimeSampler",
    HasAttributes("quantile", "density", "importance"),
    {
        "uniform": Uniform(),
        "low-discrepancy": LowDiscrepancy(),
        "logit-normal": LogitNormal(),
        "log-normal": LogNormal(),
    },
    factories={
        "low-discrepancy": lambda base="uniform": LowDiscrepancy(TIME_SAMPLERS.resolve(base))
    },
)
