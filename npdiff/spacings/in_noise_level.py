"""Timestep spacings in the noise level."""

from collections.abc import Callable

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules import Schedule
from npdiff.spacings._protocol import check_steps

#: Maps the log-SNRs of the noisiest and the cleanest time to N log-SNRs, both ends included.
LogSNRs = Callable[[float, float], np.ndarray]


def log_snr(schedule: Schedule, steps: int, *, rho: float = 1.0) -> np.ndarray:
    r"""N times from ``t_max`` to ``t_min`` at which log-SNR is evenly spaced, then 0.

    .. math::
        :label: log-snr-spacing

        \lambda_{t_k} = \lambda_{t_{\max}}
        + \frac{k}{N - 1} (\lambda_{t_{\min}} - \lambda_{t_{\max}}),
        \qquad k = 0, \dots, N - 1, \qquad t_N = 0

    Log sigma / alpha is -lambda / 2, so this spacing is also called exponential. On discrete
    schedules too these are not whole times. Where no signal is left at ``t_max``, log-SNR is -inf
    there: the spacing then begins at t_max - t_min, and its first time is moved to ``t_max``.

    Parameters
    ----------
    rho : the power of 1 - k / (N - 1) in log-SNR; above 1 there are more steps near the data
        (polyexponential)

    Notes
    -----
    Lu et al. 2022 (DPM-Solver), section 3 and appendix.
    """
    check_steps(schedule, steps)
    _check_rho(rho)
    if rho == 1.0:
        return _timesteps(schedule, lambda noisy, clean: np.linspace(noisy, clean, steps), steps)
    part = np.linspace(1.0, 0.0, steps) ** rho
    return _timesteps(schedule, lambda noisy, clean: clean + part * (noisy - clean), steps)


def karras(schedule: Schedule, steps: int, *, rho: float = 7.0) -> np.ndarray:
    r"""EDM's spacing: a root of the noise level evenly spaced from ``t_max`` to ``t_min``, then 0.

    .. math::
        :label: karras-spacing

        \varsigma_{t_k} = \left( \varsigma_{\max}^{1 / \rho} + \frac{k}{N - 1}
        \left(\varsigma_{\min}^{1 / \rho} - \varsigma_{\max}^{1 / \rho}\right) \right)^{\rho},
        \qquad \varsigma_t = \frac{\sigma_t}{\alpha_t},
        \qquad k = 0, \dots, N - 1, \qquad t_N = 0

    where the ends are the noise levels of ``t_max`` and ``t_min``. As rho grows it approaches
    :eq:`log-snr-spacing`; as there, the spacing begins at t_max - t_min if no signal is left at
    ``t_max``.

    Parameters
    ----------
    rho : 1 spaces the noise levels evenly; larger values give more steps to the low ones

    Notes
    -----
    Karras et al. 2022, Eq. 5, for which alpha = 1 and time is sigma.

    Examples
    --------
    >>> from npdiff.schedules import EDM
    >>> karras(EDM(), 4).round(4)
    array([8.0000e+01, 9.7232e+00, 4.7000e-01, 2.0000e-03, 0.0000e+00])
    """
    check_steps(schedule, steps)
    _check_rho(rho)

    def spaced(noisy: float, clean: float) -> np.ndarray:
        roots = np.linspace(np.exp(-0.5 / rho * noisy), np.exp(-0.5 / rho * clean), steps)
        return -2.0 * rho * np.log(roots)

    return _timesteps(schedule, spaced, steps)


def _check_rho(rho: float) -> None:
    if not 0.0 < rho < np.inf:
        raise InputError(f"rho must be positive and finite, got {rho}")


def _timesteps(schedule: Schedule, log_snrs: LogSNRs, steps: int) -> np.ndarray:
    """``t_max``, then the times of the N log-SNRs except the first, then 0."""
    timesteps = np.append(np.full(steps, schedule.t_max), 0.0)
    if steps > 1:
        noisy = schedule.t_max
        if schedule.alpha(noisy) == 0.0:
            noisy = max(noisy - schedule.t_min, schedule.t_min)
        values = log_snrs(schedule.log_snr(noisy), schedule.log_snr(schedule.t_min))
        timesteps[1:-1] = schedule.time_at(values[1:])
    return timesteps
