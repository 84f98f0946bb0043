r"""Training objectives: training examples, loss weightings, and the distribution of times.

At a fixed x_t the errors of all prediction types differ only by a factor,

.. math::
    :label: error-units

    \widehat{\text{output}} - \text{output} = \frac{\Delta_t}{\alpha_t}\, (\hat\epsilon - \epsilon)

with the determinant :eq:`determinant`. A *weighting* is therefore defined once, as a function of
log-SNR that multiplies the squared error of eps, and
:func:`~npdiff.objective.loss_weights.output_weight` converts it to any prediction type. The
distribution of the times acts as a weighting too: :mod:`npdiff.objective.log_snr_integral`.
"""

from npdiff.objective.adaptive import LossHistory, SecondMoment
from npdiff.objective.example import Example, Objective, loss, sample_losses
from npdiff.objective.log_snr_integral import implied_weight
from npdiff.objective.loss_weights import (
    WEIGHTINGS,
    FlowMatchingWeighting,
    IntegralWeighting,
    ScheduleWeighting,
    noise_weight,
    output_weight,
)
from npdiff.objective.time_samplers import (
    TIME_SAMPLERS,
    LogitNormal,
    LogNormal,
    LowDiscrepancy,
    TimeSampler,
    Uniform,
)
from npdiff.objective.weightings import (
    Weighting,
    edm,
    min_snr,
    p2,
    sigmoid,
    simple,
    soft_min_snr,
    truncated_snr,
    v,
    x0,
)

__all__ = [
    "TIME_SAMPLERS",
    "WEIGHTINGS",
    "Example",
    "FlowMatchingWeighting",
    "IntegralWeighting",
    "LogNormal",
    "LogitNormal",
    "LossHistory",
    "LowDiscrepancy",
    "Objective",
    "ScheduleWeighting",
    "SecondMoment",
    "TimeSampler",
    "Uniform",
    "Weighting",
    "edm",
    "implied_weight",
    "loss",
    "min_snr",
    "noise_weight",
    "output_weight",
    "p2",
    "sample_losses",
    "sigmoid",
    "simple",
    "soft_min_snr",
    "truncated_snr",
    "v",
    "x0",
]
