"""Discrete schedules of T steps, as in DDPM."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules.base import Times, Values, VariancePreserving

#: Methods whose argument is not a time.
_NOT_OF_TIME = ("time_at",)


class DiscreteSchedule(VariancePreserving):
    r"""A schedule of T steps given by its betas, as in DDPM; index t is the paper's t, 1 to T.

    .. math::
        :label: alpha-bar

        \bar\alpha_t = \alpha_t^2 = \prod_{s=1}^{t} (1 - \beta_s),
        \qquad \bar\alpha_0 = 1

    Its arrays have T + 1 entries. **Entry t belongs to the paper's t, and entry 0 to the data**,
    (alpha, sigma) = (1, 0), so the last step of a sampler needs no special case. (Programs that
    count timesteps from 0 to T - 1 call entry t their timestep t - 1.)

    Time is continuous here too. Between whole times log alpha is interpolated linearly. At a whole
    time, where its derivative jumps, the derivatives are those of the step that ends there. If the
    last beta is 1, no signal is left at T: within that step alpha itself is interpolated linearly,
    so that log-SNR decreases strictly to -inf.

    Parameters
    ----------
    betas : (T,) array whose first entry is the paper's beta_1; each in (0, 1), the last in (0, 1]

    Attributes
    ----------
    betas : (T + 1,) read-only array, ``betas[t]`` is beta_t; ``betas[0]`` is 0
    alpha_bar : (T + 1,) read-only array, ``alpha_bar[t]`` is alpha-bar_t

    Raises
    ------
    InputError
        If ``betas`` is not a 1-D array of values in (0, 1).

    Notes
    -----
    Ho et al. 2020, section 2. What that paper calls alpha_t is written 1 - beta_t here.

    Examples
    --------
    >>> schedule = DiscreteSchedule(np.array([0.1, 0.5]))
    >>> schedule.alpha_bar
    array([1.  , 0.9 , 0.45])
    >>> schedule.alpha(2) ** 2 + schedule.sigma(2) ** 2
    1.0
    >>> schedule
    DiscreteSchedule: T = 2, beta_1 = 0.1, beta_T = 0.5, alpha_bar_T = 0.45
    """

    t_min = 1.0

    def __init__(self, betas: np.ndarray) -> None:
        betas = np.asarray(betas, dtype=np.float64)
        one_axis = betas.ndim == 1 and betas.size > 0
        if not (one_axis and (betas > 0.0).all() and (betas[:-1] < 1.0).all() and betas[-1] <= 1.0):
            raise InputError(
                "betas must be a non-empty 1-D array of values strictly between 0 and 1, of which "
                f"the last may be 1, got {betas}"
            )
        self.betas = np.concatenate([[0.0], betas])
        with np.errstate(divide="ignore"):
            self._rates = 0.5 * np.log1p(-self.betas)
        self._log_alpha = 0.5 * np.cumsum(2.0 * self._rates)
        self.alpha_bar = np.exp(2.0 * self._log_alpha)
        self.steps = betas.size
        self.t_max = float(betas.size)
        for array in (self.betas, self.alpha_bar):
            array.flags.writeable = False
        self._tables: dict[str, np.ndarray] = {}

    def __repr__(self) -> str:
        return (
            f"DiscreteSchedule: T = {self.steps}, beta_1 = {self.betas[1]:.4g}, "
            f"beta_T = {self.betas[-1]:.4g}, alpha_bar_T = {self.alpha_bar[-1]:.4g}"
        )

    def _at_scalar(self, method: Callable[..., Any], t: float) -> float:
        """As in the base class; values at whole times come from an array computed once."""
        if method.__name__ in _NOT_OF_TIME or not (t.is_integer() and 0.0 <= t <= self.t_max):
            return super()._at_scalar(method, t)
        if method.__qualname__ not in self._tables:
            with np.errstate(divide="ignore", invalid="ignore"):  # some derivatives at t = 0
                table = method(self, np.arange(self.betas.size * 1.0))
            self._tables[method.__qualname__] = table
        return float(self._tables[method.__qualname__][int(t)])

    def log_alpha(self, t: Times) -> Values:
        step, part = self._step(self.time(t))
        with np.errstate(divide="ignore", invalid="ignore"):
            decay = np.where(self.betas[step] == 1.0, np.log1p(-part), part * self._rates[step])
        return self._log_alpha[step - 1] + decay

    def log_alpha_dot(self, t: Times) -> Values:
        step, part = self._step(self.time(t))
        with np.errstate(divide="ignore"):
            return np.where(self.betas[step] == 1.0, -1.0 / (1.0 - part), self._rates[step])

    def alpha_dot(self, t: Times) -> Values:
        step, _ = self._step(self.time(t))
        with np.errstate(invalid="ignore"):
            inner = super().alpha_dot(t)
        return np.where(self.betas[step] == 1.0, -np.exp(self._log_alpha[step - 1]), inner)

    def timestep(self, t: Times) -> Values:
        return self.time(t).copy()

    @staticmethod
    def _step(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The step that contains t, 1 to T, and the fraction of it that is over, from 0 to 1."""
        step = np.maximum(np.ceil(t), 1.0).astype(np.int64)
        return step, t - (step - 1)


def zero_terminal_snr(schedule: DiscreteSchedule) -> DiscreteSchedule:
    r"""The schedule with alpha shifted and scaled so that no signal is left at T.

    .. math::
        :label: zero-terminal-snr

        \alpha'_t = \alpha_1\, \frac{\alpha_t - \alpha_T}{\alpha_1 - \alpha_T},
        \qquad t = 1, \dots, T

    alpha_1 is kept, and beta_T becomes 1. At T the prediction ``eps`` cannot recover x_0: train and
    sample with ``v``, ``x0`` or ``velocity``.

    Parameters
    ----------
    schedule : with two steps or more

    Raises
    ------
    InputError
        If the schedule has one step only.

    Notes
    -----
    Lin et al. 2024, Algorithm 1.
    """
    if schedule.t_max < 2.0:
        raise InputError("zero terminal SNR needs a discrete schedule of two steps or more, got 1")
    alpha = schedule.alpha(np.arange(1.0, schedule.t_max + 1.0))
    # alpha'_t = alpha'_{t-1} (1 - removed)
    removed = alpha[:-1] * -np.expm1(schedule._rates[2:]) / (alpha[:-1] - alpha[-1])
    return DiscreteSchedule(
        np.append(schedule.betas[1], np.append(removed[:-1] * (2.0 - removed[:-1]), 1.0))
    )
