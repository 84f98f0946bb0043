r"""Which times a network is trained on: draws that are functions of a key.

A draw of times has a density. Where it is meant to be part of the loss it is left at that (SD3,
EDM); where it should only make the same loss less noisy, *importance* sampling, each sample's
weight is divided by it.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from npdiff.errors import InputError
from npdiff.random import Key
from npdiff.registry import Registry
from npdiff.schedules import Schedule, Times


class TimeSampler(ABC):
    """A way to draw times.

    Attributes
    ----------
    importance : whether weights are divided by the density, so that the expected loss is that
        under uniform times
    """

    importance: bool = False

    @abstractmethod
    def quantile(self, schedule: Schedule, u: np.ndarray) -> np.ndarray:
        """The time below which a share ``u`` of the draws lies, (N,); on a chain a whole one."""

    @abstractmethod
    def density(self, schedule: Schedule, t: Times) -> np.ndarray:
        """How much more often t is drawn than by a uniform draw."""

    def __call__(self, schedule: Schedule, key: Key) -> np.ndarray:
        """One time for each of the key's samples, float64 on the host."""
        return self.quantile(schedule, key.uniform())


@dataclass(frozen=True)
class Uniform(TimeSampler):
    """Uniform on 1..T of a chain, else on (t_min, t_max)."""

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
    r"""Times that spread evenly over a batch, each by itself distributed as before.

    .. math::
        :label: low-discrepancy

        u_i = (u + \phi_2(i)) \bmod 1

    One uniform u is drawn a step. The radical inverse phi_2 mirrors the binary digits of the
    sample's index at the point: 0, 1/2, 1/4, 3/4, 1/8, ... So the first :math:`2^k` samples of a
    batch have one time in each of :math:`2^k` equal parts, as with VDM's
    :math:`u_i = (u + i / k) \bmod 1`, and yet no sample has to know how large the batch is.

    Parameters
    ----------
    of : the draw whose quantiles are spread

    Notes
    -----
    Kingma et al. 2021, appendix; van der Corput 1935 for the sequence.
    """

    of: TimeSampler = Uniform()

    @property
    def importance(self) -> bool:  # type: ignore[override]
        return self.of.importance

    def quantile(self, schedule: Schedule, u: np.ndarray) -> np.ndarray:
        return self.of.quantile(schedule, u)

    def density(self, schedule: Schedule, t: Times) -> np.ndarray:
        return self.of.density(schedule, t)

    def __call__(self, schedule: Schedule, key: Key) -> np.ndarray:
        u = replace(key, samples=np.zeros(1, dtype=np.int64)).fold("offset").uniform()
        u = (u + radical_inverse(np.asarray(key.samples))) % 1.0
        return self.quantile(schedule, u)


def radical_inverse(index: np.ndarray) -> np.ndarray:
    """The binary digits of integers below 2**32, mirrored at the point.

    >>> radical_inverse(np.array([0, 1, 2, 3, 4])).tolist()
    [0.0, 0.5, 0.25, 0.75, 0.125]
    """
    bits = (np.asarray(index, dtype=np.uint64)[:, None] >> np.arange(32, dtype=np.uint64)) & 1
    return bits @ 0.5 ** np.arange(1.0, 33.0)


class Monotone(TimeSampler):
    """A draw that is a standard normal number seen through an increasing function of time."""

    @abstractmethod
    def normal(self, schedule: Schedule, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The number z that stands for t, and dz / dt."""

    @abstractmethod
    def time(self, schedule: Schedule, z: np.ndarray) -> np.ndarray:
        """The time that stands for z."""

    def quantile(self, schedule: Schedule, u: np.ndarray) -> np.ndarray:
        low, high = self._ends(schedule)
        inverse = NormalDist().inv_cdf
        z = np.array([inverse(p) for p in (low + (high - low) * u).tolist()])
        t = np.clip(self.time(schedule, z), _first(schedule), schedule.t_max)
        return t if schedule.steps is None else np.maximum(np.ceil(t), 1.0)

    def density(self, schedule: Schedule, t: Times) -> np.ndarray:
        t = np.asarray(schedule.time(t))
        low, high = self._ends(schedule)
        if schedule.steps is not None:
            inside = self._below(schedule, t) - self._below(schedule, t - 1.0)
            return schedule.steps * inside / (high - low)
        z, slope = self.normal(schedule, t)
        bell = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
        return (schedule.t_max - schedule.t_min) * bell * slope / (high - low)

    def _ends(self, schedule: Schedule) -> tuple[float, float]:
        low, high = self._below(schedule, np.array([_first(schedule), schedule.t_max])).tolist()
        return low, high

    def _below(self, schedule: Schedule, t: np.ndarray) -> np.ndarray:
        """The share of the whole normal distribution that stands for times up to t."""
        z, _ = self.normal(schedule, t)
        share = [0.5 * math.erfc(-x / math.sqrt(2.0)) for x in np.ravel(z).tolist()]
        return np.array(share).reshape(np.shape(z))


def _first(schedule: Schedule) -> float:
    """Where the times begin: at 0 on a chain, whose row 1 stands for the step from 0 to 1."""
    return 0.0 if schedule.steps is not None else schedule.t_min


@dataclass(frozen=True)
class LogitNormal(Monotone):
    r"""Times whose logit is normal: most of them in the middle.

    .. math::
        :label: logit-normal

        \log \frac{t}{1 - t} \sim \mathcal N(m, s^2)

    with t in units of the whole way, cut to the times that are trained on.

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

    def normal(self, schedule: Schedule, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        part = t / schedule.t_max
        with np.errstate(divide="ignore"):
            logit = np.log(part) - np.log1p(-part)
            slope = 1.0 / (part * (1.0 - part) * schedule.t_max * self.deviation)
        return (logit - self.mean) / self.deviation, slope

    def time(self, schedule: Schedule, z: np.ndarray) -> np.ndarray:
        return schedule.t_max / (1.0 + np.exp(-(self.mean + self.deviation * z)))


@dataclass(frozen=True)
class LogNormal(Monotone):
    r"""EDM's draw: the noise level has a log-normal distribution.

    .. math::
        :label: log-normal-noise

        \log \varsigma_t = \log \frac{\sigma_t}{\alpha_t} = -\tfrac12 \lambda_t
        \sim \mathcal N(m, s^2)

    cut to the levels of the schedule.

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

    def normal(self, schedule: Schedule, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        level = -0.5 * schedule.log_snr(t)
        with np.errstate(invalid="ignore"):
            slope = schedule.log_sigma_dot(t) - schedule.log_alpha_dot(t)
        return (level - self.mean) / self.deviation, slope / self.deviation

    def time(self, schedule: Schedule, z: np.ndarray) -> np.ndarray:
        ends = schedule.log_snr(schedule.t_max), schedule.log_snr(_first(schedule))
        return schedule.time_at(np.clip(-2.0 * (self.mean + self.deviation * z), *ends))


def _positive(deviation: float) -> None:
    if not 0.0 < deviation < math.inf:
        raise InputError(f"expected a standard deviation above 0, got {deviation}")


#: Time samplers by name.
TIME_SAMPLERS: Registry[TimeSampler, TimeSampler] = Registry(
    "time sampler",
    "an npdiff.objective.TimeSampler",
    lambda given: (
        all(hasattr(given, a) for a in ("quantile", "density")) and not isinstance(given, type)
    ),
    {
        "uniform": Uniform(),
        "low-discrepancy": LowDiscrepancy(),
        "logit-normal": LogitNormal(),
        "log-normal": LogNormal(),
    },
    factories={"low-discrepancy": lambda of="uniform": LowDiscrepancy(TIME_SAMPLERS.resolve(of))},
)
