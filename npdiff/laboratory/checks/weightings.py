"""Checks of weightings: as they are published, and as integrals over log-SNR."""

from collections.abc import Callable

import numpy as np

from npdiff.laboratory.checks.process import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective import (
    WEIGHTINGS,
    IntegralWeighting,
    LogitNormal,
    LogNormal,
    Objective,
    TimeSampler,
    Weighting,
    implied_weight,
    noise_weight,
    output_weight,
    weightings,
)
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.schedules import EDM, SCHEDULES, Cosine, LinearVP, RectifiedFlow, Schedule, linear_betas

#: A weight as a function of SNR and of the noise level.
Published = Callable[[np.ndarray, np.ndarray], np.ndarray]

#: For each label: the weighting, the row in whose units its paper states it, and that statement as
#: a function of SNR and of the noise level.
PUBLISHED: dict[str, tuple[Weighting, dict[str, Published]]] = {
    "min-snr": (
        lambda r: weightings.min_snr(r, 3.0),
        {
            "x0": lambda snr, _: np.minimum(snr, 3.0),
            "eps": lambda snr, _: np.minimum(snr, 3.0) / snr,
            "v": lambda snr, _: np.minimum(snr, 3.0) / (snr + 1.0),
        },
    ),
    "p2": (
        lambda r: weightings.p2(r, 1.7, 0.6),
        {"eps": lambda snr, _: 1.0 / (1.7 + snr) ** 0.6},
    ),
    "edm-weight": (
        weightings.edm,
        {
            "x0": lambda _, level: (level**2 + 0.5**2) / (level * 0.5) ** 2,
            "edm": lambda snr, _: np.ones_like(snr),
        },
    ),
    "soft-min-snr": (
        weightings.soft_min_snr,
        {"edm": lambda _, level: (level * 0.5) ** 2 / (level**2 + 0.5**2) ** 2},
    ),
    "truncated-snr": (weightings.truncated_snr, {"x0": lambda snr, _: np.maximum(snr, 1.0)}),
}


@check(*PUBLISHED, route="each paper's weight in its own units", tolerance=1e-11, cases=3)
def weights_as_published(case: Case) -> dict[str, float]:
    """Weights in the units of a row against the published functions of SNR or sigma."""
    schedule = case.choose([linear_betas(), LinearVP(), Cosine()])
    t = timesteps(case, schedule, 7)
    snr = (schedule.alpha(t) / schedule.sigma(t)) ** 2
    return {
        label: max(
            relative(
                output_weight(schedule, PARAMETERIZATIONS[row], weighting, t)
                / published(snr, snr**-0.5),
                1 + 0 * t,
            )
            for row, published in rows.items()
        )
        for label, (weighting, rows) in PUBLISHED.items()
    }


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
    route="closed forms in log-SNR, one derived for each loss",
    tolerance=1e-12,
    cases=2,
)
def losses_as_integrals(case: Case) -> dict[str, float]:
    """The w of each published loss with its own schedule and draw of times."""
    from scipy.stats import norm

    cosine, flow, edm = Cosine(s=0.0), RectifiedFlow(), EDM()
    mean, deviation = case.choose([(0.0, 1.0), (0.4, 0.7)])
    a, b = flow.t_min, flow.t_max

    def implied(
        schedule: Schedule, name: str, time_sampler: TimeSampler | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        t = timesteps(case, schedule, 6)
        level = 2.0 * np.log(schedule.alpha(t) / schedule.sigma(t))
        return implied_weight(schedule, WEIGHTINGS[name], t, time_sampler), level

    def residual(found: np.ndarray, expected: np.ndarray) -> float:
        return relative(found / expected, np.ones_like(expected))

    # Cosine schedule without offset: p(lambda) = sech(lambda / 2) / (2 pi), cut at both ends.
    share = 0.9946 * (1.0 - 1e-3) * np.pi
    on_cosine: dict[str, tuple[str, Weighting]] = {
        "simple-loss": ("simple", np.ones_like),
        "min-snr": ("min-snr", lambda r: np.minimum(1.0, 5.0 * np.exp(-r))),
        "soft-min-snr": ("soft-min-snr", lambda r: 1.0 / (1.0 + np.exp(r) / 4.0)),
        "p2": ("p2", lambda r: 1.0 / (1.0 + np.exp(r))),
        "truncated-snr": ("truncated-snr", lambda r: np.maximum(1.0, np.exp(-r))),
    }
    found = {}
    for label, (name, factor) in on_cosine.items():
        w, r = implied(cosine, name)
        found[label] = residual(w, sech(r / 2.0) * factor(r) / share)
    w, r = implied(cosine, "v")
    v = residual(w, 2.0 * np.exp(-r / 2.0) / share)
    # The straight path: exp(-lambda / 2); with logit-normal times a Gaussian times (1 + e^-l/2)^2.
    w, r = implied(flow, "flow")
    found["flow-matching-weight"] = residual(w, np.exp(-r / 2.0) * (b - a))
    w, r = implied(flow, "flow", LogitNormal(mean, deviation))
    inside = 1.0 - norm.cdf((np.log(a / (1.0 - a)) - mean) / deviation)
    bell = norm.pdf(r, -2.0 * mean, 2.0 * deviation) / inside
    logit = residual(w, 2.0 * bell * (1.0 + np.exp(-r / 2.0)) ** 2 * (b - a) ** 2)
    # EDM: a Gaussian in log-SNR and the weight that makes F's error count the same.
    w, r = implied(edm, "edm", LogNormal())
    inside = np.diff(norm.cdf((np.log([edm.t_min, edm.t_max]) + 1.2) / 1.2))[0]
    bell = norm.pdf(r, 2.4, 2.4) / inside
    found["edm-weight"] = residual(w, 2.0 * bell * (1.0 + 4.0 * np.exp(-r)))
    # Two that are the same on every schedule.
    worst = {"likelihood": 0.0, "sigmoid": 0.0}
    for name in SCHEDULES:
        for weighting in worst:
            w, r = implied(SCHEDULES[name](), weighting)
            expected = 1.0 + 0.0 * r if weighting == "likelihood" else 1.0 / (1.0 + np.exp(r - 2.0))
            worst[weighting] = max(worst[weighting], residual(w, expected))
    found["likelihood-weighting"], found["sigmoid-weight"] = worst.values()
    found["implied-weight"] = max(*found.values(), v, logit)
    return found


@check(
    "likelihood-weighting",
    "flow-matching-weight",
    route="central differences of log-SNR, alpha and sigma",
    tolerance=1e-6,
    cases=22,
)
def weights_by_differences(case: Case) -> dict[str, float]:
    """g^2 / sigma^2 and the error of the velocity, from differences of the schedule itself."""
    schedule = a_schedule(case)
    t = timesteps(case, schedule, 3)
    if schedule.steps is not None:
        t = np.floor(t) + 0.5  # between two rows
    h = 1e-5 * t

    def slope(f: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        return (f(t + h) - f(t - h)) / (2.0 * h)

    whole = schedule.steps or schedule.t_max - schedule.t_min
    falling = -slope(lambda u: 2.0 * np.log(schedule.alpha(u) / schedule.sigma(u)))
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    # x_dot at fixed x_t, where the error of x_0 is -sigma / alpha times that of eps
    velocity = slope(schedule.sigma) - sigma / alpha * slope(schedule.alpha)
    likelihood = noise_weight(schedule, IntegralWeighting(np.cosh), t)
    expected = np.cosh(2.0 * np.log(alpha / sigma)) * falling * whole / 2.0
    flow = noise_weight(schedule, WEIGHTINGS["flow"], t)
    return {
        "likelihood-weighting": relative(likelihood / expected, np.ones(3)),
        "flow-matching-weight": relative(flow / (whole * velocity) ** 2, np.ones(3)),
    }


@check(
    "weighted-loss",
    "implied-weight",
    route="quadrature over t against quadrature over log-SNR",
    tolerance=1e-10,
    cases=33,
)
def losses_by_quadrature(case: Case) -> float:
    """The expected loss under its draw of times, and the integral over log-SNR with its w."""
    schedule = a_schedule(case)
    name = list(WEIGHTINGS)[(case.index * 7) % len(WEIGHTINGS)]
    time_sampler = None
    if schedule.steps is None:
        time_sampler = [None, LogNormal(-0.5, 1.5), LogitNormal(0.3, 1.2)][case.index // 11 % 3]
    nodes, shares = np.polynomial.legendre.leggauss(30)
    ends = timesteps(case, schedule, 1) * np.array([1.0, 1.0 + case.rng.uniform(0.01, 0.04)])
    if schedule.steps is not None:
        ends = np.floor(ends[0]) + case.rng.uniform(0.05, 0.95, 2)
        ends.sort()

    def error(t: np.ndarray) -> np.ndarray:
        """The squared error of the best denoiser of N(0, 0.3) data."""
        snr = (schedule.alpha(t) / schedule.sigma(t)) ** 2
        return 0.3 * snr / (0.3 * snr + 1.0)

    def integral(low: float, high: float, f: Callable[[np.ndarray], np.ndarray]) -> float:
        at = 0.5 * (low + high) + 0.5 * (high - low) * nodes
        return float(0.5 * (high - low) * (shares * f(at)).sum())

    example = Objective(schedule, PARAMETERIZATIONS["eps"], WEIGHTINGS[name])
    whole = schedule.steps or schedule.t_max - schedule.t_min

    def drawn(t: np.ndarray) -> np.ndarray:
        density = 1.0 if time_sampler is None else time_sampler.density(schedule, t)
        units = (schedule.alpha(t) / PARAMETERIZATIONS["eps"].determinant(schedule, t)) ** 2
        return density / whole * example.weights(t) / units * error(t)

    def weighed(log_snr: np.ndarray) -> np.ndarray:
        t = schedule.time_at(log_snr)
        return 0.5 * implied_weight(schedule, WEIGHTINGS[name], t, time_sampler) * error(t)

    over_t = integral(float(ends[0]), float(ends[1]), drawn)
    cleanest, noisiest = map(float, schedule.log_snr(ends))
    over_log_snr = integral(noisiest, cleanest, weighed)
    return relative(over_log_snr, over_t)
