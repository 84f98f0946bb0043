r"""How much signal and how much noise: a schedule maps time to :math:`(\alpha_t, \sigma_t)`.

Time runs from data, t = 0, to noise, t = ``t_max``. A schedule is evaluated on the host in float64
and is cast where it meets the arrays (:func:`npdiff.backend.per_sample`). It is written in
logarithms: near the data 1 - alpha_t^2 has lost all its digits, and log alpha_t has not.
"""

from collections.abc import Callable

from npdiff.schedules.base import Schedule, Times, VariancePreserving
from npdiff.schedules.continuous import Cosine, LinearVP, SubVP
from npdiff.schedules.exploding import EDM, VE, VarianceExploding
from npdiff.schedules.flow import RectifiedFlow, shifted_flow
from npdiff.schedules.laplace import Laplace
from npdiff.schedules.learned import Learned
from npdiff.schedules.table import Table, cosine_table, linear_table, zero_terminal_snr
from npdiff.schedules.tables import (
    exponential_table,
    invariant_linear_table,
    scaled_linear_table,
    sigmoid_betas_table,
    sigmoid_table,
    zero_snr_table,
)

__all__ = [
    "EDM",
    "SCHEDULES",
    "VE",
    "Cosine",
    "Laplace",
    "Learned",
    "LinearVP",
    "RectifiedFlow",
    "Schedule",
    "SubVP",
    "Table",
    "Times",
    "VarianceExploding",
    "VariancePreserving",
    "cosine_table",
    "exponential_table",
    "invariant_linear_table",
    "linear_table",
    "scaled_linear_table",
    "shifted_flow",
    "sigmoid_betas_table",
    "sigmoid_table",
    "zero_snr_table",
    "zero_terminal_snr",
]

#: Schedules by name. Each is made without arguments; those that have options take them by name.
SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "linear": linear_table,
    "cosine": cosine_table,
    "scaled-linear": scaled_linear_table,
    "zero-snr": zero_snr_table,
    "sigmoid": sigmoid_table,
    "sigmoid-betas": sigmoid_betas_table,
    "exponential": exponential_table,
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
