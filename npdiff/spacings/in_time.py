"""Timestep spacings in time."""

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules import Schedule
from npdiff.spacings._protocol import check_steps


def trailing(schedule: Schedule, steps: int) -> np.ndarray:
    r"""N + 1 evenly spaced times from ``t_max`` to 0.

    .. math::
        :label: trailing-spacing

        t_k = t_{\max} \left(1 - \frac{k}{N}\right), \qquad k = 0, \dots, N

    rounded to whole times on a discrete schedule.

    Notes
    -----
    Lin et al. 2024, Table 2, which shows that the first time must be T.

    Examples
    --------
    >>> from npdiff.schedules import linear_betas
    >>> trailing(linear_betas(10), 4)
    array([10.,  8.,  5.,  3.,  0.])
    """
    check_steps(schedule, steps)
    return _whole(schedule, np.linspace(schedule.t_max, 0.0, steps + 1))


def leading(schedule: Schedule, steps: int, *, dropped: bool = False) -> np.ndarray:
    r"""For discrete schedules: integer strides down to 1, then 0, so the last step is from 1 to 0.

    .. math::
        :label: leading-spacing

        t_k = 1 + (N - 1 - k) \left\lfloor \frac{T}{N} \right\rfloor,
        \qquad k = 0, \dots, N - 1, \qquad t_N = 0

    It starts at 1 + (N - 1) floor(T / N), which is below T unless N = T.

    Parameters
    ----------
    dropped : N + 1 points in strides of floor(T / (N + 1)), of which 1 is dropped: the meaning
        of "leading" for most multistep solvers. Then N is at most T - 1.

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
            "spacing 'leading' needs a discrete schedule, and this one is continuous: "
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

    rounded to whole times on a discrete schedule, whose ``t_min`` is 1.

    Parameters
    ----------
    dropped : N + 1 times, of which ``t_min`` is dropped: the meaning of "linspace" for most
        multistep solvers. Then N is at most T - 1 on a discrete schedule.

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

    The steps shrink towards the data. On a discrete schedule times are rounded; where that would
    repeat a time, near the data if N is large, times move up to the next free whole time.

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
    check_steps(schedule, steps)
    timesteps = np.linspace(schedule.t_max**0.5, schedule.t_min**0.5, steps) ** 2
    timesteps[0] = schedule.t_max
    if schedule.steps is not None:
        timesteps = np.maximum(_whole(schedule, timesteps), np.arange(steps, 0, -1))
    return np.append(timesteps, 0.0)


def _points(schedule: Schedule, steps: int, dropped: bool) -> int:
    """The number of points to space: N, or N + 1 if the last is dropped."""
    check_steps(schedule, steps)
    if dropped and steps == schedule.steps:
        raise InputError(
            f"{steps} sampling steps with dropped=True do not fit a discrete schedule of {steps}: "
            f"use fewer, or dropped=False"
        )
    return steps + 1 if dropped else steps


def _whole(schedule: Schedule, timesteps: np.ndarray) -> np.ndarray:
    """``timesteps``, on a discrete schedule rounded half up, which keeps strides of 1 distinct."""
    return timesteps if schedule.steps is None else np.floor(timesteps + 0.5)
