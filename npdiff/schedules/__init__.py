r"""Schedules: the signal and noise scales :math:`(\alpha_t, \sigma_t)` as functions of time.

Time runs from the data, t = 0, to noise, t = ``t_max``. A schedule is evaluated on the host in
float64: a scalar time gives a Python float, which multiplies an array of any dtype; an array of
times gives an array, which :func:`npdiff.backend.per_sample` casts. Schedules are defined by their
logarithms: near the data 1 - alpha_t^2 loses all its digits to rounding, and log alpha_t does not.
"""

from collections.abc import Callable

from npdiff.registry import HasAttributes, Registry
from npdiff.schedules.base import Schedule, Times, VariancePreserving
from npdiff.schedules.betas import (
    cosine_betas,
    exponential_betas,
    invariant_linear_betas,
    linear_betas,
    scaled_linear_betas,
    sigmoid_alpha_bar_betas,
    sigmoid_betas,
    zero_snr_betas,
)
from npdiff.schedules.continuous import Cosine, LinearVP, SubVP
from npdiff.schedules.discrete import DiscreteSchedule, zero_terminal_snr
from npdiff.schedules.exploding import EDM, VE, VarianceExploding
from npdiff.schedules.flow import RectifiedFlow, shifted_flow
from npdiff.schedules.laplace import Laplace
from npdiff.schedules.learned import Learned

__all__ = [
    "EDM",
    "SCHEDULES",
    "VE",
    "Cosine",
    "DiscreteSchedule",
    "Laplace",
    "Learned",
    "LinearVP",
    "RectifiedFlow",
    "Schedule",
    "SubVP",
    "Times",
    "VarianceExploding",
    "VariancePreserving",
    "cosine_betas",
    "exponential_betas",
    "invariant_linear_betas",
    "linear_betas",
    "scaled_linear_betas",
    "shifted_flow",
    "sigmoid_alpha_bar_betas",
    "sigmoid_betas",
    "zero_snr_betas",
    "zero_terminal_snr",
]

#: Schedules by name. An entry is a class or a function that makes the schedule from its options.
SCHEDULES: Registry[Callable[..., Schedule], Schedule] = Registry(
    "schedule",
    "an object with the methods of npdiff.schedules.Schedule, such as one of a subclass",
    HasAttributes(
        *("t_min", "t_max", "steps", "time", "timestep", "time_at", "alpha", "sigma", "log_snr"),
        *("log_alpha", "log_sigma", "log_alpha_dot", "log_sigma_dot", "alpha_dot", "sigma_dot"),
        *("drift", "diffusion"),
    ),
    {
        "linear": linear_betas,
        "cosine": cosine_betas,
        "scaled-linear": scaled_linear_betas,
        "zero-snr": zero_snr_betas,
        "sigmoid": sigmoid_alpha_bar_betas,
        "sigmoid-betas": sigmoid_betas,
        "exponential": exponential_betas,
        "vp": LinearVP,
        "sub-vp": SubVP,
        "ve": VE,
        "edm": EDM,
        "cosine-continuous": Cosine,
        "rectified-flow": RectifiedFlow,
        "shifted-flow": shifted_flow,
        "laplace": Laplace,
        "learned": Learned,
    },
    call=True,
)
