r"""How much signal and how much noise: a schedule maps time to :math:`(\alpha_t, \sigma_t)`.

Time runs from data, t = 0, to noise, t = ``t_max``. A schedule is evaluated on the host in float64
and is cast where it meets the arrays (:func:`npdiff.backend.per_sample`). It is written in
logarithms: near the data 1 - alpha_t^2 has lost all its digits, and log alpha_t has not.
"""

from collections.abc import Callable

from npdiff.schedules.base import Schedule, Times, VariancePreserving
from npdiff.schedules.continuous import Cosine, LinearVP, SubVP
from npdiff.schedules.discrete import (
    DiscreteSchedule,
    cosine_betas,
    linear_betas,
    zero_terminal_snr,
)
from npdiff.schedules.exploding import EDM, VE, VarianceExploding
from npdiff.schedules.flow import RectifiedFlow, shifted_flow
from npdiff.schedules.laplace import Laplace
from npdiff.schedules.learned import Learned
from npdiff.schedules.named import (
    exponential_betas,
    invariant_linear_betas,
    scaled_linear_betas,
    sigmoid_alpha_bar,
    sigmoid_betas,
    zero_snr_betas,
)

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
    "sigmoid_alpha_bar",
    "sigmoid_betas",
    "zero_snr_betas",
    "zero_terminal_snr",
]

#: Schedules by name. Each is made without arguments; those that have options take them by name.
SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "linear": linear_betas,
    "cosine": cosine_betas,
    "scaled-linear": scaled_linear_betas,
    "zero-snr": zero_snr_betas,
    "sigmoid": sigmoid_alpha_bar,
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
}
