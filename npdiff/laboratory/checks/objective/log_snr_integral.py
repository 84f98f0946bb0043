"""Checks of the identity between losses in time and integrals over log-SNR."""

from collections.abc import Callable

import numpy as np

from npdiff.laboratory.checks._schedules import a_schedule, timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective import WEIGHTINGS, LogitNormal, LogNormal, Objective, implied_weight
from npdiff.parameterization import PARAMETERIZATIONS


@check(
    "weighted-loss",
    "implied-weight",
    method="quadrature over t against quadrature over log-SNR",
    tolerance=1e-10,
    cases=3 * len(WEIGHTINGS),
)
def losses_by_quadrature(case: Case) -> float:
    """The expected loss under its time sampler against the integral over log-SNR with its w."""
    schedule = a_schedule(case)
    name = list(WEIGHTINGS)[(case.index * 7) % len(WEIGHTINGS)]
    time_sampler = None
    if schedule.steps is None:
        time_sampler = [None, LogNormal(-0.5, 1.5), LogitNormal(0.3, 1.2)][case.index // 11 % 3]
    nodes, weights = np.polynomial.legendre.leggauss(30)
    ends = timesteps(case, schedule, 1) * np.array([1.0, 1.0 + case.rng.uniform(0.01, 0.04)])
    if schedule.steps is not None:
        ends = np.floor(ends[0]) + case.rng.uniform(0.05, 0.95, 2)
        ends.sort()

    def error(t: np.ndarray) -> np.ndarray:
        """The squared error of the exact denoiser of N(0, 0.3) data."""
        snr = (schedule.alpha(t) / schedule.sigma(t)) ** 2
        return 0.3 * snr / (0.3 * snr + 1.0)

    def integral(low: float, high: float, f: Callable[[np.ndarray], np.ndarray]) -> float:
        at = 0.5 * (low + high) + 0.5 * (high - low) * nodes
        return float(0.5 * (high - low) * (weights * f(at)).sum())

    example = Objective(schedule, PARAMETERIZATIONS["eps"], WEIGHTINGS[name])
    length = schedule.steps or schedule.t_max - schedule.t_min

    def loss_in_time(t: np.ndarray) -> np.ndarray:
        density = 1.0 if time_sampler is None else time_sampler.density(schedule, t)
        units = (schedule.alpha(t) / PARAMETERIZATIONS["eps"].determinant(schedule, t)) ** 2
        return density / length * example.weights(t) / units * error(t)

    def loss_in_log_snr(log_snr: np.ndarray) -> np.ndarray:
        t = schedule.time_at(log_snr)
        return 0.5 * implied_weight(schedule, WEIGHTINGS[name], t, time_sampler) * error(t)

    over_t = integral(float(ends[0]), float(ends[1]), loss_in_time)
    cleanest, noisiest = map(float, schedule.log_snr(ends))
    over_log_snr = integral(noisiest, cleanest, loss_in_log_snr)
    return relative(over_log_snr, over_t)
