r"""What a network is trained on: a noisy example, what to answer, and how much the answer counts.

At a fixed x_t all parameterisations make the same error in different units,

.. math::
    :label: error-units

    \widehat{\text{output}} - \text{output} = \frac{\Delta_t}{\alpha_t}\, (\hat\epsilon - \epsilon)

with the determinant :eq:`determinant`. A *weighting* is therefore stated once, as a function of the
log-SNR that multiplies the squared error of eps, and :func:`weight` translates it to any row.
"""

from npdiff.objective.example import Example, Objective, loss
from npdiff.objective.weightings import (
    WEIGHTINGS,
    Weighting,
    data,
    edm,
    min_snr,
    p2,
    simple,
    v,
    weight,
)

__all__ = [
    "WEIGHTINGS",
    "Example",
    "Objective",
    "Weighting",
    "data",
    "edm",
    "loss",
    "min_snr",
    "p2",
    "simple",
    "v",
    "weight",
]
