"""Checks of several weightings at once: their losses as integrals over log-SNR."""

import numpy as np

from npdiff.laboratory.checks._schedules import timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective import (
    WEIGHTINGS,
    LogitNormal,
    LogNormal,
    TimeSampler,
    Weighting,
    implied_weight,
)
from npdiff.schedules import EDM, SCHEDULES, Cosine, RectifiedFlow, Schedule


def sech(x: np.ndarray) -> np.ndarray:
    """The hyperbolic secant."""
    return 1.0 / np.cosh(x)


@check(
    "implied-weight",
    "sigmoid-weight",
    "likelihood-weighting",
    "flow-matching-weight",
    "simple-loss",
    "min-snr",
    "soft-min-snr",
    "p2",
    "edm-weight",
    "truncated-snr",
    method="closed forms in log-SNR, one derived for each loss",
    tolerance=1e-12,
    cases=2,
)
def losses_as_integrals(case: Case) -> dict[str, float]:
    """The w of each published loss with its schedule and time sampler."""
    from scipy.stats import norm

    cosine, flow, edm = Cosine(s=0.0), RectifiedFlow(), EDM()
    mean, deviation = case.choose([(0.0, 1.0), (0.4, 0.7)])
    a, b = flow.t_min, flow.t_max

    def implied_weights(
        schedule: Schedule, name: str, time_sampler: TimeSampler | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        t = timesteps(case, schedule, 6)
        level = 2.0 * np.log(schedule.alpha(t) / schedule.sigma(t))
        return implied_weight(schedule, WEIGHTINGS[name], t, time_sampler), level

    def residual(found: np.ndarray, expected: np.ndarray) -> float:
        return relative(found / expected, np.ones_like(expected))

    # Cosine schedule without offset: p(lambda) = sech(lambda / 2) / (2 pi), cut at both ends.
    fraction = 0.9946 * (1.0 - 1e-3) * np.pi
    on_cosine: dict[str, tuple[str, Weighting]] = {
        "simple-loss": ("simple", np.ones_like),
        "min-snr": ("min-snr", lambda r: np.minimum(1.0, 5.0 * np.exp(-r))),
        "soft-min-snr": ("soft-min-snr", lambda r: 1.0 / (1.0 + np.exp(r) / 4.0)),
        "p2": ("p2", lambda r: 1.0 / (1.0 + np.exp(r))),
        "truncated-snr": ("truncated-snr", lambda r: np.maximum(1.0, np.exp(-r))),
    }
    found = {}
    for label, (name, factor) in on_cosine.items():
        w, r = implied_weights(cosine, name)
        found[label] = residual(w, sech(r / 2.0) * factor(r) / fraction)
    w, r = implied_weights(cosine, "v")
    v = residual(w, 2.0 * np.exp(-r / 2.0) / fraction)
    # Rectified flow: exp(-lambda / 2); with logit-normal times a Gaussian times (1 + e^-l/2)^2.
    w, r = implied_weights(flow, "flow")
    found["flow-matching-weight"] = residual(w, np.exp(-r / 2.0) * (b - a))
    w, r = implied_weights(flow, "flow", LogitNormal(mean, deviation))
    inside = 1.0 - norm.cdf((np.log(a / (1.0 - a)) - mean) / deviation)
    bell = norm.pdf(r, -2.0 * mean, 2.0 * deviation) / inside
    logit = residual(w, 2.0 * bell * (1.0 + np.exp(-r / 2.0)) ** 2 * (b - a) ** 2)
    # EDM: a Gaussian in log-SNR and the weight that makes F's error count the same.
    w, r = implied_weights(edm, "edm", LogNormal())
    inside = np.diff(norm.cdf((np.log([edm.t_min, edm.t_max]) + 1.2) / 1.2))[0]
    bell = norm.pdf(r, 2.4, 2.4) / inside
    found["edm-weight"] = residual(w, 2.0 * bell * (1.0 + 4.0 * np.exp(-r)))
    # Two that do not depend on the schedule.
    worst = {"likelihood": 0.0, "sigmoid": 0.0}
    for name in SCHEDULES:
        for weighting in worst:
            w, r = implied_weights(SCHEDULES[name](), weighting)
            expected = 1.0 + 0.0 * r if weighting == "likelihood" else 1.0 / (1.0 + np.exp(r - 2.0))
            worst[weighting] = max(worst[weighting], residual(w, expected))
    found["likelihood-weighting"], found["sigmoid-weight"] = worst.values()
    found["implied-weight"] = max(*found.values(), v, logit)
    return found
