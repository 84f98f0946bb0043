r"""How likely a model finds data: by the variational bound, and by the probability-flow ODE.

Both are in nats for a sample until :func:`~npdiff.objective.bound.bits_per_dim` makes them bits for
each of its numbers. The bound is of the reverse chain, whose steps it is told; the ODE is a model
of its own, with the same network, whose density is known to the solver's precision. On data whose
distribution is known (:mod:`npdiff.exact`) both meet the entropy.
"""

from npdiff.likelihood._bound import Term, bound
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
    "flow_log_density",
    "probes",
    "trace",
]
