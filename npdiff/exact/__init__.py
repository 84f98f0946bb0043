r"""Distributions of data whose diffusion is known in closed form.

What a perfectly trained network would answer, how sure it could be, the score, the solution of the
probability-flow ODE and the likelihood at every time: with these, schedules, samplers and guidance
are proved without training anything. Samples are (N, ...) arrays, flattened to D numbers each; the
numbers are kept on the host in float64 and go where x is.
"""

from npdiff.exact.distribution import Distribution
from npdiff.exact.gaussian import Gaussian
from npdiff.exact.mixture import Mixture
from npdiff.exact.points import FiniteData
from npdiff.exact.uniform import Uniform

__all__ = ["Distribution", "FiniteData", "Gaussian", "Mixture", "Uniform"]
