"""Checks of the exact classifier of a mixture's components."""

from npdiff.backend import to_host
from npdiff.exact.classifier import classifier_gradient
from npdiff.laboratory.checks._class_mixtures import (
    BROAD,
    gradient,
    log_class,
    mixture,
    points,
    time_in_schedule,
)
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import SCHEDULES


@check(
    "class-gradient",
    method="complex steps on the logarithm of Bayes' rule",
    tolerance=1e-10,
    cases=len(SCHEDULES),
)
def classes_by_bayes(case: Case) -> float:
    """The gradient of a component's log-probability against a complex step on Bayes' rule."""
    schedule, t, scales = time_in_schedule(case)
    k, x = case.index % 2, points(case, scales)
    found = classifier_gradient(mixture(BROAD), schedule, k)(x, t)
    return relative(found, gradient(lambda x: log_class(BROAD, scales, x, k), to_host(x)))
