r"""Data distributions whose diffusion is known in closed form.

Each gives, at every time, the prediction of a perfectly trained network and its uncertainty, the
score, the solution of the probability-flow ODE and the likelihood. With them schedules, samplers
and guidance are verified without training a network. Samples are (N, ...) arrays, flattened to D
elements each. The parameters are float64 arrays on the host; they move to the device of x.
"""

from npdiff.exact.distribution import Distribution
from npdiff.exact.gaussian import Gaussian
from npdiff.exact.mixture import Mixture
from npdiff.exact.points import FiniteData
from npdiff.exact.uniform import Uniform

__all__ = ["Distribution", "FiniteData", "Gaussian", "Mixture", "Uniform"]
