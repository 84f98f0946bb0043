"""Shared by convergence tests: data with a known flow, starting points, tolerance of an order."""

import numpy as np

from npdiff.exact import Gaussian, Mixture

#: .4 N(-1, .04) + .6 N(.6, .04), the second parameters being variances.
WEIGHTS, MEANS, VARIANCE = (0.4, 0.6), (-1.0, 0.6), 0.04
DATA = Mixture(WEIGHTS, [Gaussian(np.array([mean]), VARIANCE) for mean in MEANS])

#: Six starting points, in units of the noise's standard deviation.
STARTS = (-1.7, -0.9, -0.2, 0.1, 0.5, 1.3)

#: The largest allowed difference between a measured slope and the claimed order.
TOLERANCE = 0.15
