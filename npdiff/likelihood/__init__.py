r"""Likelihood: the variational bound, and the probability-flow ODE's change of variables.

:func:`evaluate` gives bits per dimension of a checkpoint on images. The functions below it work on
any denoiser and return nats for each sample; :func:`~npdiff.objective.bound.bits_per_dim` converts
them. The bound belongs to the discrete reverse process with the given timesteps. The ODE defines
another model of the same network, whose density is computed to the solver's accuracy. On
distributions with a known density (:mod:`npdiff.exact`) both reach the entropy.
"""

from npdiff.likelihood._bound import Term, bound
from npdiff.likelihood._evaluate import evaluate
from npdiff.likelihood._result import Bits
from npdiff.likelihood._trace import (
    Linear,
    Linearize,
    by_differences,
    by_jacobian,
    by_pullback,
    probes,
    trace,
)
from npdiff.likelihood.bytes import bits_of_bytes, dequantized
from npdiff.likelihood.ode import Moment, adaptive_log_density, flow_log_density

__all__ = [
    "Bits",
    "Linear",
    "Linearize",
    "Moment",
    "Term",
    "adaptive_log_density",
    "bits_of_bytes",
    "bound",
    "by_differences",
    "by_jacobian",
    "by_pullback",
    "dequantized",
    "evaluate",
    "flow_log_density",
    "probes",
    "trace",
]
