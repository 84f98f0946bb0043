"""Chains of T steps, as in DDPM."""

from operator import index

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules.base import Times, VariancePreserving
from npdiff.schedules.continuous import cosine_log_alpha


class DiscreteSchedule(VariancePreserving):
    r"""DDPM's chain of T steps, as a table whose row t is the paper's t.

    .. math::
        :label: alpha-bar

        \bar\alpha_t = \alpha_t^2 = \prod_{s=1}^{t} (1 - \beta_s),
        \qquad \bar\alpha_0 = 1

    Row 0 is the data, (alpha, sigma) = (1, 0), so the last step of a sampler needs no special case.
    Between the rows log alpha is interpolated linearly: its rate is constant within a step. At a
    row, where the rate jumps, the derivatives are those of the step that ends there. If the last
    beta is 1, no signal is left at T: in that step it is alpha that is interpolated linearly, so
    that log-SNR decreases strictly all the way to -inf.

    Parameters
    ----------
    betas : (T,) array, ``betas[0]`` is the paper's beta_1; each in (0, 1), the last in (0, 1]

    Attributes
    ----------
    betas : (T + 1,) array, ``betas[t]`` is beta_t; ``betas[0]`` is 0
    alpha_bar : (T + 1,) array, ``alpha_bar[t]`` is alpha-bar_t

    Raises
    ------
    InputError
        If ``betas`` is no row of numbers in (0, 1).

    Notes
    -----
    Ho et al. 2020, section 2. What that paper calls alpha_t is written 1 - beta_t here.

    Examples
    --------
    >>> chain = DiscreteSchedule(np.array([0.1, 0.5]))
    >>> chain.alpha_bar
    array([1.  , 0.9 , 0.45])
    >>> float(chain.alpha(2) ** 2 + chain.sigma(2) ** 2)
    1.0
    """

    t_min = 1.0

    def __init__(self, betas: np.ndarray) -> None:
        betas = np.asarray(betas, dtype=np.float64)
        row = betas.ndim == 1 and betas.size > 0
        if not (row and (betas > 0.0).all() and (betas[:-1] < 1.0).all() and betas[-1] <= 1.0):
            raise InputError(
                "betas must be a non-empty row of numbers strictly between 0 and 1, "
                "of which the last may be 1"
            )
        self.betas = np.concatenate([[0.0], betas])
        with np.errstate(divide="ignore"):
            self._rates = 0.5 * np.log1p(-self.betas)
        self._log_alpha = 0.5 * np.cumsum(2.0 * self._rates)
        self.alpha_bar = np.exp(2.0 * self._log_alpha)
        self.steps = betas.size
        self.t_max = float(betas.size)

    def log_alpha(self, t: Times) -> np.ndarray:
        row, part = self._step(self.time(t))
        with np.errstate(divide="ignore", invalid="ignore"):
            decay = np.where(self.betas[row] == 1.0, np.log1p(-part), part * self._rates[row])
        return self._log_alpha[row - 1] + decay

    def log_alpha_dot(self, t: Times) -> np.ndarray:
        row, part = self._step(self.time(t))
        with np.errstate(divide="ignore"):
            return np.where(self.betas[row] == 1.0, -1.0 / (1.0 - part), self._rates[row])

    def alpha_dot(self, t: Times) -> np.ndarray:
        row, _ = self._step(self.time(t))
        with np.errstate(invalid="ignore"):
            inner = super().alpha_dot(t)
        return np.where(self.betas[row] == 1.0, -np.exp(self._log_alpha[row - 1]), inner)

    def timestep(self, t: Times) -> np.ndarray:
        return self.time(t).copy()

    @staticmethod
    def _step(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The step in which t lies, 1..T, and the part of it that is over, from 0 to 1."""
        row = np.maximum(np.ceil(t), 1.0).astype(np.int64)
        return row, t - (row - 1)


def linear_betas(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> DiscreteSchedule:
    r"""DDPM's linear schedule.

    .. math::
        :label: linear-betas

        \beta_t = \beta_1 + \frac{t - 1}{T - 1} (\beta_T - \beta_1), \qquad t = 1, \dots, T

    Parameters
    ----------
    steps : T
    first, last : beta_1 and beta_T. They are not rescaled with T: chosen for T = 1000, they leave
        much of the signal standing at the end of a shorter chain.

    Notes
    -----
    Ho et al. 2020, section 4.
    """
    return DiscreteSchedule(np.linspace(first, last, checked_steps(steps)))


def zero_terminal_snr(table: DiscreteSchedule) -> DiscreteSchedule:
    r"""A chain whose signal is shifted and scaled so that none is left at the end.

    .. math::
        :label: zero-terminal-snr

        \alpha'_t = \alpha_1\, \frac{\alpha_t - \alpha_T}{\alpha_1 - \alpha_T},
        \qquad t = 1, \dots, T

    The first row is kept, the last beta is 1. At T the noise says nothing of the data and ``eps``
    nothing of what to do: sample from ``v``, ``x0`` or ``velocity``.

    Parameters
    ----------
    table : a chain of two steps or more

    Raises
    ------
    InputError
        If the chain has one step only.

    Notes
    -----
    Lin et al. 2024, Algorithm 1.
    """
    if table.t_max < 2.0:
        raise InputError("a chain of one step cannot keep its first row and lose its last")
    alpha = table.alpha(np.arange(1.0, table.t_max + 1.0))
    # The share of what is left that a step takes, alpha'_t = alpha'_{t-1} (1 - share).
    share = alpha[:-1] * -np.expm1(table._rates[2:]) / (alpha[:-1] - alpha[-1])
    return DiscreteSchedule(
        np.append(table.betas[1], np.append(share[:-1] * (2.0 - share[:-1]), 1.0))
    )


def cosine_betas(steps: int = 1000, s: float = 0.008, largest: float = 0.999) -> DiscreteSchedule:
    r"""The cosine schedule of improved DDPM, as a chain.

    .. math::
        :label: cosine-betas

        \beta_t = \min\!\left(1 - \frac{\bar\alpha(t/T)}{\bar\alpha((t-1)/T)},\; 0.999\right)

    with the alpha-bar(u) of :eq:`cosine-alpha-bar`. For T = 1000 one beta is clipped, the last.

    Parameters
    ----------
    steps : T
    s : the offset that keeps the first betas from vanishing
    largest : where the betas are clipped; alpha-bar would otherwise end at zero

    Notes
    -----
    Nichol and Dhariwal 2021, section 3.2.
    """
    return alpha_bar_betas(cosine_log_alpha(np.arange(checked_steps(steps)) / steps, s), largest)


def alpha_bar_betas(log_alpha: np.ndarray, largest: float) -> DiscreteSchedule:
    """The chain whose rows 0..T - 1 have this log alpha and row T none; no beta over ``largest``.

    Raises
    ------
    InputError
        If ``largest`` lies outside of (0, 1].
    """
    if not 0.0 < largest <= 1.0:
        raise InputError(f"betas are clipped at a number in (0, 1], got {largest}")
    betas = np.append(-np.expm1(2.0 * np.diff(log_alpha)), 1.0)  # ᾱ(1) = 0
    return DiscreteSchedule(np.minimum(betas, largest))


def checked_steps(steps: int) -> int:
    """``steps``, checked."""
    try:
        index(steps)
    except TypeError:
        raise InputError(f"a chain has a whole number of steps, got {steps!r}") from None
    if steps < 1:
        raise InputError(f"a chain has at least one step, got {steps}")
    return steps
