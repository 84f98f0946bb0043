"""Checks of the Laplace schedule."""

import numpy as np

from npdiff.laboratory.checks.schedules._integrals import scales
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import Laplace


@check("laplace-log-snr", method="SciPy's Laplace distribution", tolerance=1e-10, cases=9)
def laplace_by_its_quantiles(case: Case) -> float:
    """log-SNR at t is exceeded with probability t; its scales by the logistic function."""
    from scipy.special import expit
    from scipy.stats import laplace

    mean, scale, reach = case.choose([(0.0, 0.5, 10.0), (1.3, 1.7, 9.0), (-0.7, 1.0, 12.0)])
    schedule = Laplace() if reach == 10.0 else Laplace(mean, scale, reach)
    distribution = laplace(mean, scale)
    span = min(6.0 * scale, reach)
    t = distribution.sf(case.rng.uniform(mean - span, mean + span, 12))
    level = distribution.isf(t)
    expected = np.sqrt(np.stack([expit(level), expit(-level)]))
    ends = np.array([distribution.sf(mean + reach), distribution.cdf(mean - reach)])
    found = np.array([schedule.t_min, 1.0 - schedule.t_max])
    off = relative(scales(schedule, t), expected), relative(schedule.log_snr(t), level)
    return max(*off, float(np.max(np.abs(found / ends - 1.0))) * 1e-4)
