"""Grids that are spread in time."""

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules import Schedule
from npdiff.spacings._checks import check


def trailing(schedule: Schedule, steps: int) -> np.ndarray:
    r"""From ``t_max``, in even strides down to 0.

    .. math::
        :label: trailing-spacing

        t_k = t_{\max} \left(1 - \frac{k}{N}\right), \qquad k = 0, \dots, N

    rounded to whole times on a chain.

    Notes
    -----
    Lin et al. 2024, Table 2, who show that the first time has to be T.

    Examples
    --------
    >>> from npdiff.schedules import linear_betas
    >>> trailing(linear_betas(10), 4)
    array([10.,  8.,  5.,  3.,  0.])
    """
    check(schedule, steps)
    return _whole(schedule, np.linspace(schedule.t_max, 0.0, steps + 1))


def leading(schedule: Schedule, steps: int, *, dropped: bool = False) -> np.ndarray:
    r"""On a chain, whole strides down to 1, then 0: the last step is always that from 1 to 0.

    .. math::
        :label: leading-spacing

        t_k = 1 + (N - 1 - k) \left\lfloor \frac{T}{N} \right\rfloor,
        \qquad k = 0, \dots, N - 1, \qquad t_N = 0

    It starts at 1 + (N - 1) floor(T / N), which is below T unless N = T.

    Parameters
    ----------
    schedule : a chain
    steps : N
    dropped : N + 1 points in strides of floor(T / (N + 1)), of which 1 is dropped: the meaning
        of the word with most multistep solvers. Then N is at most T - 1.

    Notes
    -----
    Song, Meng and Ermon 2021 (DDIM), section 4.2 and appendix D; Lin et al. 2024, Table 2.

    Examples
    --------
    >>> from npdiff.schedules import linear_betas
    >>> leading(linear_betas(10), 4)
    array([7., 5., 3., 1., 0.])
    >>> leading(linear_betas(10), 4, dropped=True)
    array([9., 7., 5., 3., 0.])
    """
    points = _points(schedule, steps, dropped)
    if schedule.steps is None:
        raise InputError(
            "the grid 'leading' counts the steps of a chain and this schedule is continuous: "
            "use 'trailing', 'linspace' or 'log-snr'"
        )
    ascending = 1.0 + np.arange(points) * (schedule.steps // points)
    return np.append(ascending[::-1][:steps], 0.0)


def linspace(schedule: Schedule, steps: int, *, dropped: bool = False) -> np.ndarray:
    r"""N times from ``t_max`` to ``t_min``, both ends included and evenly spaced, then 0.

    .. math::
        :label: linspace-spacing

        t_k = t_{\max} - \frac{k}{N - 1} (t_{\max} - t_{\min}),
        \qquad k = 0, \dots, N - 1, \qquad t_N = 0

    rounded to whole times on a chain, whose ``t_min`` is 1.

    Parameters
    ----------
    schedule : Schedule
    steps : N
    dropped : N + 1 times, of which ``t_min`` is dropped: the meaning of the word with most
        multistep solvers. Then N is at most T - 1 on a chain.

    Notes
    -----
    Nichol and Dhariwal 2021, section 4; Lin et al. 2024, Table 2.

    Examples
    --------
    >>> from npdiff.schedules import linear_betas
    >>> linspace(linear_betas(10), 4)
    array([10.,  7.,  4.,  1.,  0.])
    >>> linspace(linear_betas(10), 3, dropped=True)
    array([10.,  7.,  4.,  0.])
    """
    points = _points(schedule, steps, dropped)
    noisy = np.linspace(schedule.t_max, schedule.t_min, points)[:steps]
    return np.append(_whole(schedule, noisy), 0.0)


def quadratic(schedule: Schedule, steps: int) -> np.ndarray:
    r"""N times from ``t_max`` to ``t_min`` at which the root of time is evenly spaced, then 0.

    .. math::
        :label: quadratic-spacing

        \sqrt{t_k} = \sqrt{t_{\max}}
        + \frac{k}{N - 1} \left(\sqrt{t_{\min}} - \sqrt{t_{\max}}\right),
        \qquad k = 0, \dots, N - 1, \qquad t_N = 0

    The steps shrink towards the data. On a chain times are rounded; where that would visit a row
    twice, near the data if N is large, times move up to the next free row.

    Notes
    -----
    Song, Meng and Ermon 2021 (DDIM), appendix D, where c i^2 ends close to T (the program stops at
    0.8 T); Lu et al. 2022 (DPM-Solver), appendix.

    Examples
    --------
    >>> from npdiff.schedules import linear_betas
    >>> quadratic(linear_betas(100), 4)
    array([100.,  49.,  16.,   1.,   0.])
    >>> quadratic(linear_betas(10), 8)
    array([10.,  8.,  6.,  5.,  4.,  3.,  2.,  1.,  0.])
    """
    check(schedule, steps)
    timesteps = np.linspace(schedule.t_max**0.5, schedule.t_min**0.5, steps) ** 2
    timesteps[0] = schedule.t_max
    if schedule.steps is not None:
        timesteps = np.maximum(_whole(schedule, timesteps), np.arange(steps, 0, -1))
    return np.append(timesteps, 0.0)


def _points(schedule: Schedule, steps: int, dropped: bool) -> int:
    """How many points are spread: N, or N + 1 if the last of them is dropped."""
    check(schedule, steps)
    if dropped and steps == schedule.steps:
        raise InputError(
            f"{steps} steps do not fit a chain of {steps} of which one point is dropped: "
            f"ask for fewer, or leave out 'dropped'"
        )
    return steps + 1 if dropped else steps


def _whole(schedule: Schedule, timesteps: np.ndarray) -> np.ndarray:
    """``timesteps``, on a chain rounded half up: strides of 1 or more then never meet."""
    return timesteps if schedule.steps is None else np.floor(timesteps + 0.5)
