r"""Loss weights: a weighting evaluated for a schedule, a time and a prediction type.

Most weightings are functions of log-SNR alone. Two kinds need the schedule as well: weightings
defined for the integral over log-SNR, and flow matching, which is defined for velocities.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from npdiff.errors import InputError
from npdiff.objective import weightings
from npdiff.objective.weightings import Weighting
from npdiff.options import spell
from npdiff.parameterization import Parameterization
from npdiff.registry import Registry
from npdiff.schedules import Schedule, Times

#: Where there is no signal, weights are evaluated at this log-SNR, near their limit.
_NO_SIGNAL = -200.0


class ScheduleWeighting(ABC):
    """A weighting that depends on the schedule, not only on its log-SNR."""

    @abstractmethod
    def noise_weight(self, schedule: Schedule, t: Times) -> np.ndarray:
        """The weight of the squared error of eps at time t."""


@dataclass(frozen=True)
class IntegralWeighting(ScheduleWeighting):
    r"""A weighting defined for the integral over log-SNR, :eq:`weighted-loss`.

    .. math::
        :label: likelihood-weighting

        \tfrac12 \int w(\lambda) \lVert \epsilon - \hat\epsilon \rVert^2\, \mathrm d \lambda
        = \mathbb E_{t} \left[ \frac{\tau}{2}\, w(\lambda_t)
          \left( -\frac{\mathrm d \lambda_t}{\mathrm d t} \right)
          \lVert \epsilon - \hat\epsilon \rVert^2 \right]

    for t uniform on an interval of length tau (T on a discrete schedule). With w = 1 this is the
    loss that bounds the likelihood. As a weight of the error of the score it is g(t)^2 / 2, because
    :math:`-\mathrm d \lambda / \mathrm d t = g^2 / \sigma^2`. In VDM, which writes gamma for
    -lambda, it is gamma'(t) / 2.

    Parameters
    ----------
    w : function of log-SNR; 1 by default

    Notes
    -----
    Song et al. 2021 (Maximum likelihood training), section 3; Kingma et al. 2021 (VDM), section 4.
    """

    w: Weighting = field(default_factory=lambda: np.ones_like)

    def noise_weight(self, schedule: Schedule, t: Times) -> np.ndarray:
        return 0.5 * duration(schedule) * self.w(schedule.log_snr(t)) * log_snr_rate(schedule, t)


@dataclass(frozen=True)
class FlowMatchingWeighting(ScheduleWeighting):
    r"""Conditional flow matching: the squared error of the velocity, unweighted.

    .. math::
        :label: flow-matching-weight

        \lVert \hat{\dot x} - \dot x \rVert^2
        = \left( \frac{\sigma_t}{2}\, \frac{\mathrm d \lambda_t}{\mathrm d t} \right)^{\!2}
          \lVert \hat\epsilon - \epsilon \rVert^2

    with time in units of the length of the whole interval. On the straight path, alpha = 1 - t and
    sigma = t, the weight is :math:`1 / (1 - t)^2 = (1 + e^{-\lambda / 2})^2`.

    Notes
    -----
    Lipman et al. 2023, sections 3.2 and 4.
    """

    def noise_weight(self, schedule: Schedule, t: Times) -> np.ndarray:
        return (0.5 * duration(schedule) * schedule.sigma(t) * log_snr_rate(schedule, t)) ** 2


def _likelihood() -> IntegralWeighting:
    """The variational bound: weight 1 in the integral over log-SNR."""
    return IntegralWeighting()


def _sigmoid(bias: float = 2.0) -> IntegralWeighting:
    """The sigmoid of bias - log-SNR in the integral over log-SNR."""
    return IntegralWeighting(partial(weightings.sigmoid, bias=bias))


#: Weightings by name.
WEIGHTINGS: Registry[Weighting | ScheduleWeighting, Weighting | ScheduleWeighting] = Registry(
    "weighting",
    "a function of log-SNR, or an object with a method noise_weight(schedule, t)",
    lambda given: (
        (callable(given) or hasattr(given, "noise_weight")) and not isinstance(given, type)
    ),
    {
        "simple": weightings.simple,
        "x0": weightings.x0,
        "v": weightings.v,
        "min-snr": weightings.min_snr,
        "soft-min-snr": weightings.soft_min_snr,
        "p2": weightings.p2,
        "edm": weightings.edm,
        "truncated-snr": weightings.truncated_snr,
        "flow": FlowMatchingWeighting(),
        "likelihood": IntegralWeighting(),
        "sigmoid": IntegralWeighting(weightings.sigmoid),
    },
    common=("log_snr",),
    factories={
        "likelihood": _likelihood,
        "sigmoid": _sigmoid,
    },
)


def duration(schedule: Schedule) -> float:
    """The length tau of the interval of training times: T on a discrete schedule."""
    return schedule.steps or schedule.t_max - schedule.t_min


def log_snr_rate(schedule: Schedule, t: Times) -> np.ndarray:
    """The rate -d lambda / dt at which log-SNR falls, g^2 / sigma^2; for t > 0."""
    return 2.0 * (schedule.log_sigma_dot(t) - schedule.log_alpha_dot(t))


def noise_weight(
    schedule: Schedule, weighting: Weighting | ScheduleWeighting, t: Times
) -> np.ndarray:
    """The weight of the squared error of eps at time t, of the shape of ``t``."""
    if isinstance(weighting, ScheduleWeighting):
        return weighting.noise_weight(schedule, t)
    weights = weighting(np.maximum(schedule.log_snr(t), _NO_SIGNAL))
    if np.ndim(weights) and np.shape(weights) != np.shape(t):
        raise InputError(
            f"weighting {spell(weighting)!r} must return one weight for each log-SNR, shape "
            f"{np.shape(t)}, got shape {np.shape(weights)}"
        )
    return weights


def output_weight(
    schedule: Schedule,
    parameterization: Parameterization,
    weighting: Weighting | ScheduleWeighting,
    t: Times,
) -> np.ndarray:
    r"""The weight of the squared error of the network's output.

    .. math::
        :label: output-weight

        w_{\text{output}} = w(\lambda_t)\, \frac{\alpha_t^2}{\Delta_t^2}

    At alpha = 0 the value is the limit.

    Parameters
    ----------
    schedule : Schedule
    parameterization : the prediction type of the output
    weighting : the weight of the squared error of eps: a function of log-SNR, or a
        ScheduleWeighting
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
            f"this weighting is not finite at t = {np.asarray(t)[~np.isfinite(weights)].flat[0]:g} "
            "of this schedule: choose another weighting, or a schedule with signal and noise at "
            "every time"
        )
    return weights
