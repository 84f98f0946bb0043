r"""Which times a sampler visits: N + 1 descending times for N steps, the last of them 0.

A grid is a host array of float64. On a chain of T steps the grids that are even in time visit
whole times, none twice, for any N up to T. They differ in where they start and in where they last
stop before 0, and that matters: what is sampled from pure noise should start at ``t_max``.
"""

from collections.abc import Callable

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules import Schedule


def trailing(schedule: Schedule, steps: int) -> np.ndarray:
    r"""From ``t_max``, in even strides down to 0.

    .. math::
        :label: trailing-grid

        t_k = t_{\max} \left(1 - \frac{k}{N}\right), \qquad k = 0, \dots, N

    rounded to whole times on a chain.

    Notes
    -----
    Lin et al. 2024, Table 2, who show that the first time has to be T.

    Examples
    --------
    >>> from npdiff.schedules import linear_table
    >>> trailing(linear_table(10), 4)
    array([10.,  8.,  5.,  3.,  0.])
    """
    _check(schedule, steps)
    return _whole(schedule, np.linspace(schedule.t_max, 0.0, steps + 1))


def leading(schedule: Schedule, steps: int) -> np.ndarray:
    r"""On a chain, whole strides down to 1, then 0: the last step is always that from 1 to 0.

    .. math::
        :label: leading-grid

        t_k = 1 + (N - 1 - k) \left\lfloor \frac{T}{N} \right\rfloor,
        \qquad k = 0, \dots, N - 1, \qquad t_N = 0

    It starts at 1 + (N - 1) floor(T / N), which is below T unless N = T.

    Notes
    -----
    Song, Meng and Ermon 2021 (DDIM), section 4.2 and appendix D; Lin et al. 2024, Table 2.

    Examples
    --------
    >>> from npdiff.schedules import linear_table
    >>> leading(linear_table(10), 4)
    array([7., 5., 3., 1., 0.])
    """
    _check(schedule, steps)
    if schedule.steps is None:
        raise InputError(
            "the grid 'leading' counts the steps of a chain and this schedule is continuous: "
            "use 'trailing', 'linspace' or 'log-snr'"
        )
    ascending = 1.0 + np.arange(steps) * (schedule.steps // steps)
    return np.append(ascending[::-1], 0.0)


def linspace(schedule: Schedule, steps: int) -> np.ndarray:
    r"""N times from ``t_max`` to ``t_min``, both ends included and evenly spaced, then 0.

    .. math::
        :label: linspace-grid

        t_k = t_{\max} - \frac{k}{N - 1} (t_{\max} - t_{\min}),
        \qquad k = 0, \dots, N - 1, \qquad t_N = 0

    rounded to whole times on a chain, whose ``t_min`` is 1.

    Notes
    -----
    Nichol and Dhariwal 2021, section 4; Lin et al. 2024, Table 2.

    Examples
    --------
    >>> from npdiff.schedules import linear_table
    >>> linspace(linear_table(10), 4)
    array([10.,  7.,  4.,  1.,  0.])
    """
    _check(schedule, steps)
    noisy = np.linspace(schedule.t_max, schedule.t_min, steps)
    return np.append(_whole(schedule, noisy), 0.0)


def log_snr(schedule: Schedule, steps: int) -> np.ndarray:
    r"""N times from ``t_max`` to ``t_min`` at which log-SNR is evenly spaced, then 0.

    .. math::
        :label: log-snr-grid

        \lambda_{t_k} = \lambda_{t_{\max}}
        + \frac{k}{N - 1} (\lambda_{t_{\min}} - \lambda_{t_{\max}}),
        \qquad k = 0, \dots, N - 1, \qquad t_N = 0

    On a chain too these are not whole times.

    Notes
    -----
    Lu et al. 2022 (DPM-Solver), section 3.4 and appendix.
    """
    _check(schedule, steps)
    ends = schedule.log_snr(schedule.t_max), schedule.log_snr(schedule.t_min)
    times = schedule.time_at(np.linspace(*ends, steps))
    times[0] = schedule.t_max
    return np.append(times, 0.0)


def _check(schedule: Schedule, steps: int) -> None:
    if steps < 1:
        raise InputError(f"a sampler takes at least one step, got {steps}")
    if schedule.steps is not None and steps > schedule.steps:
        raise InputError(
            f"{steps} steps do not fit a chain of {schedule.steps}: "
            f"ask for {schedule.steps} or fewer"
        )


def _whole(schedule: Schedule, times: np.ndarray) -> np.ndarray:
    """``times``, on a chain rounded half up: strides of 1 or more then never meet."""
    return times if schedule.steps is None else np.floor(times + 0.5)


#: Grids by name.
GRIDS: dict[str, Callable[[Schedule, int], np.ndarray]] = {
    "trailing": trailing,
    "leading": leading,
    "linspace": linspace,
    "log-snr": log_snr,
}
