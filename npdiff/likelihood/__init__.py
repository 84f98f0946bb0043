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
    linearize_by_differences,
    linearize_by_jacobian,
    linearize_by_pullback,
    random_probes,
    trace,
)
from npdiff.likelihood.dequantization import dequantize, dequantized_bits
from npdiff.likelihood.ode import FlowState, adaptive_log_density, flow_log_density

__all__ = [
    "Bits",
    "FlowState",
    "Linear",
    "Linearize",
    "Term",
    "adaptive_log_density",
    "bound",
    "dequantize",
    "dequantized_bits",
    "evaluate",
    "flow_log_density",
    "linearize_by_differences",
    "linearize_by_jacobian",
    "linearize_by_pullback",
    "random_probes",
    "trace",
]
