"""Checks of the learned schedule."""

import numpy as np

from npdiff.laboratory.checks._schedules import cubic
from npdiff.laboratory.checks.schedules._integrals import scales
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import Learned


@check("learned-log-snr", method="SciPy's logistic function", tolerance=1e-12, cases=6)
def learned_by_the_logistic_function(case: Case) -> float:
    """The scales of gamma(u), from t_min on; before t_min powers of the first alpha."""
    from scipy.special import expit, log_expit

    schedule = Learned(cubic) if case.index % 2 else Learned()

    def gamma(u: np.ndarray | float) -> np.ndarray | float:
        fixed = -13.3 + 18.3 * u  # VDM's, from 13.3 to -5
        return -9.0 + 4.0 * u + 12.0 * u**3 if case.index % 2 else fixed

    u, part = case.rng.uniform(0.0, 1.0, 9), case.rng.uniform(0.05, 1.0, 5)
    expected = np.sqrt(np.stack([expit(-gamma(u)), expit(gamma(u))]))
    curve = relative(scales(schedule, 1e-3 + u * 0.999) / expected, np.ones((2, 9)))
    lost = -np.expm1(part * log_expit(-gamma(0.0)))  # 1 - alpha^2
    before = schedule.sigma(1e-3 * part) ** 2 / lost
    return max(curve, relative(before, np.ones(5)))


@check("learned-log-snr", method="a difference from the right", tolerance=1e-4, cases=1)
def slope_at_the_first_time(case: Case) -> float:
    """At t_min the slope is that of the curve, not that of the piece before it."""
    schedule, h = Learned(), 1e-6
    t = schedule.t_min
    slope = (float(schedule.log_alpha(t + h)) - float(schedule.log_alpha(t))) / h
    return relative(schedule.log_alpha_dot(t), slope)
