r"""Weightings by name, and what they come to for a schedule, a time and a row.

Most weightings are functions of log-SNR alone. Two kinds need the schedule too: those that are
stated for the integral over log-SNR, and flow matching, which speaks of velocities.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from npdiff.errors import InputError
from npdiff.objective import weightings
from npdiff.objective.weightings import Weighting
from npdiff.parameterization import Parameterization
from npdiff.registry import Registry
from npdiff.schedules import Schedule, Times

#: Where there is no signal at all, weights are taken at this log-SNR, near their limit.
_NO_SIGNAL = -200.0


class Scheduled(ABC):
    """A weighting that needs more of the schedule than its log-SNR."""

    @abstractmethod
    def at(self, schedule: Schedule, t: Times) -> np.ndarray:
        """The weight of the squared error of eps at time t."""


@dataclass(frozen=True)
class Integral(Scheduled):
    r"""A weighting that is stated for the integral over log-SNR, :eq:`weighted-loss`.

    .. math::
        :label: likelihood-weighting

        \tfrac12 \int w(\lambda) \lVert \epsilon - \hat\epsilon \rVert^2\, \mathrm d \lambda
        = \mathbb E_{t} \left[ \frac{\tau}{2}\, w(\lambda_t)
          \left( -\frac{\mathrm d \lambda_t}{\mathrm d t} \right)
          \lVert \epsilon - \hat\epsilon \rVert^2 \right]

    for t uniform on an interval of length tau (T, on a chain). With w = 1 this is the loss that
    bounds the likelihood: in units of the score the weight is g(t)^2 / 2, because
    :math:`-\mathrm d \lambda / \mathrm d t = g^2 / \sigma^2`, and in VDM's, which writes gamma for
    minus lambda, it is gamma'(t) / 2.

    Parameters
    ----------
    w : function of log-SNR; ones, if not given

    Notes
    -----
    Song et al. 2021 (Maximum likelihood training), section 3; Kingma et al. 2021 (VDM), section 4.
    """

    w: Weighting = field(default_factory=lambda: np.ones_like)

    def at(self, schedule: Schedule, t: Times) -> np.ndarray:
        return 0.5 * duration(schedule) * self.w(schedule.log_snr(t)) * rate(schedule, t)


@dataclass(frozen=True)
class FlowMatching(Scheduled):
    r"""Conditional flow matching: the squared error of the velocity, unweighted.

    .. math::
        :label: flow-matching-weight

        \lVert \hat{\dot x} - \dot x \rVert^2
        = \left( \frac{\sigma_t}{2}\, \frac{\mathrm d \lambda_t}{\mathrm d t} \right)^{\!2}
          \lVert \hat\epsilon - \epsilon \rVert^2

    with time in units of the whole way from data to noise. On the straight path, alpha = 1 - t and
    sigma = t, the weight is :math:`1 / (1 - t)^2 = (1 + e^{-\lambda / 2})^2`.

    Notes
    -----
    Lipman et al. 2023, sections 3.2 and 4.
    """

    def at(self, schedule: Schedule, t: Times) -> np.ndarray:
        return (0.5 * duration(schedule) * schedule.sigma(t) * rate(schedule, t)) ** 2


#: Weightings by name.
WEIGHTINGS: Registry[Weighting | Scheduled, Weighting | Scheduled] = Registry(
    "weighting",
    "a function of log-SNR, or an object with a method at(schedule, t)",
    lambda given: (callable(given) or hasattr(given, "at")) and not isinstance(given, type),
    {
        "simple": weightings.simple,
        "x0": weightings.data,
        "v": weightings.v,
        "min-snr": weightings.min_snr,
        "soft-min-snr": weightings.soft_min_snr,
        "p2": weightings.p2,
        "edm": weightings.edm,
        "truncated-snr": weightings.truncated_snr,
        "flow": FlowMatching(),
        "likelihood": Integral(),
        "sigmoid": Integral(weightings.sigmoid),
    },
    common=("log_snr",),
    factories={
        "likelihood": lambda: Integral(),
        "sigmoid": lambda bias=2.0: Integral(partial(weightings.sigmoid, bias=bias)),
    },
)


def duration(schedule: Schedule) -> float:
    """The length tau of the times that are trained on: T on a chain."""
    return schedule.steps or schedule.t_max - schedule.t_min


def rate(schedule: Schedule, t: Times) -> np.ndarray:
    """How fast log-SNR falls, g^2 / sigma^2; for t > 0."""
    return 2.0 * (schedule.log_sigma_dot(t) - schedule.log_alpha_dot(t))


def noise_weight(schedule: Schedule, weighting: Weighting | Scheduled, t: Times) -> np.ndarray:
    """A weighting at given times: the weight of the squared error of eps, of the shape of ``t``."""
    if isinstance(weighting, Scheduled):
        return weighting.at(schedule, t)
    return weighting(np.maximum(schedule.log_snr(t), _NO_SIGNAL))


def weight(
    schedule: Schedule,
    parameterization: Parameterization,
    weighting: Weighting | Scheduled,
    t: Times,
) -> np.ndarray:
    r"""A weighting in the units of a row's output.

    .. math::
        :label: output-weight

        w_{\text{output}} = w(\lambda_t)\, \frac{\alpha_t^2}{\Delta_t^2}

    At alpha = 0 this is the limit.

    Parameters
    ----------
    schedule : Schedule
    parameterization : the parameterization whose squared error is to be weighted
    weighting : a function from log-SNR to the weight of the squared error of eps, or a Scheduled
    t : time, a scalar or (N,)

    Returns
    -------
    float64 of the shape of ``t``

    Raises
    ------
    InputError
        If a weight is not finite.
    """
    a, b = parameterization.coefficients(schedule, t)
    sigma = schedule.sigma(t)
    alpha = np.maximum(schedule.alpha(t), sigma * math.exp(0.5 * _NO_SIGNAL))
    units = alpha / (alpha * b - sigma * a)
    weights = noise_weight(schedule, weighting, t) * units**2
    if not np.isfinite(weights).all():
        raise InputError(
            "this weighting has no finite value at a time of this schedule: choose another "
            "weighting, or a schedule that leaves some signal and some noise at every time"
        )
    return weights
