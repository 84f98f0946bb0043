r"""How much signal and how much noise: a schedule maps time to :math:`(\alpha_t, \sigma_t)`.

Time runs from data, t = 0, to noise, t = ``t_max``. A schedule is evaluated on the host in float64
and is cast where it meets the arrays (:func:`npdiff.backend.per_sample`). It is written in
logarithms: near the data 1 - alpha_t^2 has lost all its digits, and log alpha_t has not.
"""

from collections.abc import Callable

from npdiff.schedules.base import Schedule, Times, VariancePreserving
from npdiff.schedules.continuous import Cosine, LinearVP
from npdiff.schedules.table import Table, cosine_table, linear_table

__all__ = [
    "SCHEDULES",
    "Cosine",
    "LinearVP",
    "Schedule",
    "Table",
    "Times",
    "VariancePreserving",
    "cosine_table",
    "linear_table",
]

#: Schedules by name.
SCHEDULES: dict[str, Callable[[], Schedule]] = {
    "linear": linear_table,
    "cosine": cosine_table,
    "vp": LinearVP,
    "cosine-continuous": Cosine,
}
