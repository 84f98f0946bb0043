"""Checks of the measurement of orders: the slope, and the denoiser of the test data."""

import numpy as np

from npdiff.laboratory.orders import CLAIMS, Convergence, denoiser
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import EDM, LinearVP, SubVP


@check("observed-order", method="errors that fall as a known power", tolerance=1e-12, cases=4)
def slope_of_a_power_law(case: Case) -> float:
    """The slopes of errors c N^-p are p, for any c and any numbers of steps."""
    order, c = case.rng.uniform(0.5, 4.5), case.rng.uniform(0.1, 9.0)
    steps = tuple(np.cumsum(case.rng.integers(3, 40, size=5)).tolist())
    errors = tuple(c * float(n) ** -order for n in steps)
    found = Convergence(CLAIMS[0], "", steps, errors, steps)
    return relative([*found.slopes, found.slope], np.full(5, order))


@check("two-component-denoiser", method="Bayes' integral over x_0", tolerance=1e-11, cases=6)
def denoiser_by_bayes(case: Case) -> float:
    """The closed-form denoiser against the mean of x_0 under prior times likelihood."""
    schedule = case.choose((LinearVP(), EDM(), SubVP()))
    t = float(schedule.time_at(case.rng.uniform(-4.0, 4.0)))
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    x = np.array([[alpha * float(case.rng.normal()) + sigma * float(case.rng.normal())]])
    x_0, eps = denoiser(schedule)(case.array(x), t)
    points = np.linspace(-3.0, 3.0, 6001)
    prior = sum(w * np.exp(-((points - m) ** 2) / 0.08) for w, m in ((0.4, -1.0), (0.6, 0.6)))
    weight = prior * np.exp(-((x[0] - alpha * points) ** 2) / (2.0 * sigma**2))
    mean = np.array([[weight @ points / weight.sum()]])
    return max(relative(x_0, mean), relative(eps, (x - alpha * mean) / sigma))
