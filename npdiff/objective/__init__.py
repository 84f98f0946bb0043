r"""What a network is trained on: a noisy example, what to answer, and how much the answer counts.

At a fixed x_t all parameterizations make the same error in different units,

.. math::
    :label: error-units

    \widehat{\text{output}} - \text{output} = \frac{\Delta_t}{\alpha_t}\, (\hat\epsilon - \epsilon)

with the determinant :eq:`determinant`. A *weighting* is therefore stated once, as a function of the
log-SNR that multiplies the squared error of eps, and :func:`~npdiff.objective.units.weight`
translates it to any row. How times are drawn is a weighting too: :mod:`npdiff.objective.identity`.
"""

from npdiff.objective.adaptive import LossHistory, SecondMoment
from npdiff.objective.example import Example, Objective, loss, sample_losses
from npdiff.objective.identity import implied_weight
from npdiff.objective.time_samplers import (
    TIME_SAMPLERS,
    LogitNormal,
    LogNormal,
    LowDiscrepancy,
    TimeSampler,
    Uniform,
)
from npdiff.objective.units import (
    WEIGHTINGS,
    FlowMatching,
    Integral,
    Scheduled,
    noise_weight,
    weight,
)
from npdiff.objective.weightings import (
    Weighting,
    data,
    edm,
    min_snr,
    p2,
    sigmoid,
    simple,
    soft_min_snr,
    truncated_snr,
    v,
)

__all__ = [
    "TIME_SAMPLERS",
    "WEIGHTINGS",
    "Example",
    "FlowMatching",
    "Integral",
    "LogNormal",
    "LogitNormal",
    "LossHistory",
    "LowDiscrepancy",
    "Objective",
    "Scheduled",
    "SecondMoment",
    "TimeSampler",
    "Uniform",
    "Weighting",
    "data",
    "edm",
    "implied_weight",
    "loss",
    "min_snr",
    "noise_weight",
    "p2",
    "sample_losses",
    "sigmoid",
    "simple",
    "soft_min_snr",
    "truncated_snr",
    "v",
    "weight",
]
