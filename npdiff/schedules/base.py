r"""The base classes of schedules: what follows from log alpha and log sigma."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

import numpy as np

from npdiff.errors import InputError

#: A time, or a coefficient at a time: a scalar, or an ``(N,)`` array with one entry per sample.
Times = float | np.ndarray

#: A value of a schedule: a float for a scalar time, a float64 array for an array of times.
Values = Any

#: Halvings of an interval after which its ends are neighboring float64 values, at any scale; and
#: how many times a schedule evaluates in about the time that one takes.
_BITS, _BATCH = 100, 64

#: Methods that map times (``time_at``: log-SNRs) to values of the same shape.
_METHODS = (
    *("log_alpha", "log_sigma", "log_alpha_dot", "log_sigma_dot", "alpha", "sigma", "alpha_dot"),
    *("sigma_dot", "log_snr", "time", "time_at", "timestep", "drift", "diffusion"),
)


def float_if_scalar(value: Any) -> Any:
    """A 0-d value as a Python float, which keeps float32 arrays float32; an array unchanged."""
    return float(value) if np.ndim(value) == 0 else value


def _elementwise(method: Callable[..., Any]) -> Callable[..., Any]:
    """``method`` with Python floats for scalars; its formula receives float64 arrays only."""

    @wraps(method)
    def evaluate(self: "Schedule", t: Times) -> Any:
        if isinstance(t, float) or np.ndim(t) == 0:
            return self._at_scalar(method, float(t))
        return method(self, np.asarray(t, dtype=np.float64))

    return evaluate


class Schedule(ABC):
    r"""Signal and noise scales as functions of time, and what follows from them.

    A subclass defines log alpha, log sigma and their time derivatives; this class derives the rest.
    The ends are limits. At t = 0 there is no noise: log sigma is -inf, log-SNR is inf, and the
    derivative of log sigma is inf. Where a schedule ends without signal, log alpha, log-SNR and f
    are -inf at ``t_max`` and g^2 is inf; such a schedule defines the derivative of alpha itself.

    .. math::
        :label: log-snr

        \lambda_t = \log\frac{\alpha_t^2}{\sigma_t^2}
        \qquad\text{strictly decreasing in } t

    Every method maps a scalar (a Python number or a 0-d array) to a Python float, and an array to a
    float64 array of the same shape. Subclasses write their formulas for arrays; scalars follow.

    Attributes
    ----------
    t_max : float
        The last time, where sampling starts.
    t_min : float
        The first time with noise to remove: training draws times between ``t_min`` and ``t_max``,
        and a sampler's last step goes from ``t_min`` or later to 0. It is 1 on a discrete schedule.
    steps : int or None
        T for a discrete schedule of T steps; None for continuous time.

    Notes
    -----
    The notation is that of Kingma et al. 2021 (VDM), section 3; and of Lu et al. 2022 (DPM-Solver),
    section 2, where lambda is half of this one.

    Examples
    --------
    >>> class Quarter(VariancePreserving):
    ...     t_min, t_max = 0.01, 1.5
    ...     def log_alpha(self, t):
    ...         return np.log(np.cos(self.time(t)))
    ...     def log_alpha_dot(self, t):
    ...         return -np.tan(self.time(t))
    ...     def timestep(self, t):
    ...         return 1000.0 / 1.5 * self.time(t)
    >>> Quarter().alpha(1.0), Quarter().alpha([0.0, 1.0])
    (0.5403023058681398, array([1.        , 0.54030231]))
    """

    t_max: float
    t_min: float
    steps: int | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in _METHODS:
            if name in vars(cls):
                setattr(cls, name, _elementwise(vars(cls)[name]))

    def __repr__(self) -> str:
        options = (name for name in signature(type(self)).parameters if hasattr(self, name))
        values = {name: getattr(self, name) for name in options}
        text = ", ".join(f"{k}={getattr(v, '__name__', v)}" for k, v in values.items())
        return (
            f"{type(self).__name__}({text}): t in [0, {self.t_max:.6g}], log-SNR "
            f"{self.log_snr(self.t_min):.4g} at t_min = {self.t_min:.3g} "
            f"to {self.log_snr(self.t_max):.4g} at t_max"
        )

    def _at_scalar(self, method: Callable[..., Any], t: float) -> float:
        """``method`` at one time, evaluated on an array, where NumPy computes 1 / 0 as inf."""
        return float(method(self, np.array([t]))[0])

    @abstractmethod
    def log_alpha(self, t: Times) -> Values:
        """The logarithm of the signal scale; -inf where there is no signal."""

    @abstractmethod
    def log_sigma(self, t: Times) -> Values:
        """The logarithm of the noise scale; -inf where there is no noise."""

    @abstractmethod
    def log_alpha_dot(self, t: Times) -> Values:
        """The time derivative of :meth:`log_alpha`; -inf where there is no signal."""

    @abstractmethod
    def log_sigma_dot(self, t: Times) -> Values:
        """The time derivative of :meth:`log_sigma`; inf where there is no noise."""

    @abstractmethod
    def timestep(self, t: Times) -> Values:
        """The number that the network's time embedding receives at time t, from 0 to 1000.

        It increases with t, not always in proportion. (``timesteps``, elsewhere, is the array of
        times t that a sampler visits.)
        """

    @_elementwise
    def time(self, t: Times) -> Values:
        """``t`` in float64, checked.

        Raises
        ------
        InputError
            If a time is NaN or lies outside [0, t_max].
        """
        t = np.asarray(t, dtype=np.float64)
        inside = (t >= 0.0) & (t <= self.t_max)
        if not inside.all():
            raise InputError(
                f"time {t[~inside].flat[0]:g} lies outside this schedule: "
                f"t runs from 0 (data) to {self.t_max:g} (noise)"
            )
        return t

    @_elementwise
    def alpha(self, t: Times) -> Values:
        """The signal scale."""
        return np.exp(self.log_alpha(t))

    @_elementwise
    def sigma(self, t: Times) -> Values:
        """The noise scale, a standard deviation."""
        return np.exp(self.log_sigma(t))

    @_elementwise
    def alpha_dot(self, t: Times) -> Values:
        """The time derivative of the signal scale."""
        return self.alpha(t) * self.log_alpha_dot(t)

    @_elementwise
    def sigma_dot(self, t: Times) -> Values:
        """The time derivative of the noise scale, for t > 0."""
        return self.sigma(t) * self.log_sigma_dot(t)

    @_elementwise
    def log_snr(self, t: Times) -> Values:
        """The log signal-to-noise ratio, :eq:`log-snr`; inf where there is no noise, -inf where
        there is no signal.
        """
        return 2.0 * (self.log_alpha(t) - self.log_sigma(t))

    @_elementwise
    def time_at(self, log_snr: Times) -> Values:
        """The time with this log signal-to-noise ratio: the inverse of :meth:`log_snr`.

        By bisection (into many parts at once for few values), which only needs a decreasing
        log-SNR.

        Raises
        ------
        InputError
            If the schedule does not reach this log-SNR.
        """
        target = np.asarray(log_snr, dtype=np.float64)
        cleanest, noisiest = self.log_snr(0.0), self.log_snr(self.t_max)
        inside = (target >= noisiest) & (target <= cleanest)
        if not inside.all():
            raise InputError(
                f"log-SNR {target[~inside].flat[0]:g} lies outside this schedule: "
                f"it falls from {cleanest:g} to {noisiest:g}"
            )
        # A call costs more than its elements do: few values are sought in many parts at once.
        parts = max(2, _BATCH // max(1, target.size))
        inner = (np.arange(1, parts) / parts).reshape(-1, *(1,) * target.ndim)
        clean, noisy = np.zeros_like(target), np.full_like(target, self.t_max)
        for _ in range(math.ceil(_BITS / math.log2(parts))):
            edges = np.concatenate([clean[None], clean + inner * (noisy - clean), noisy[None]])
            too_clean = (self.log_snr(edges[1:-1]) > target).sum(axis=0, keepdims=True)
            clean = np.take_along_axis(edges, too_clean, axis=0)[0]
            noisy = np.take_along_axis(edges, too_clean + 1, axis=0)[0]
        return np.where(target == cleanest, 0.0, noisy)

    @_elementwise
    def drift(self, t: Times) -> Values:
        r"""The drift coefficient f(t) of the forward SDE dx = f x dt + g dw.

        .. math::
            :label: sde-drift

            f(t) = \frac{\mathrm d \log \alpha_t}{\mathrm d t}

        Notes
        -----
        Song et al. 2021, section 3; with alpha and sigma Lu et al. 2022 (DPM-Solver), section 2.
        """
        return self.log_alpha_dot(t)

    @_elementwise
    def diffusion(self, t: Times) -> Values:
        r"""The squared diffusion coefficient g(t)^2 of the forward SDE, for t > 0.

        .. math::
            :label: sde-diffusion

            g(t)^2 = \frac{\mathrm d \sigma_t^2}{\mathrm d t} - 2 f(t)\, \sigma_t^2
                   = -\sigma_t^2\, \frac{\mathrm d \lambda_t}{\mathrm d t}

        Notes
        -----
        See :meth:`drift`.
        """
        variance = np.exp(2.0 * self.log_sigma(t))
        return 2.0 * variance * (self.log_sigma_dot(t) - self.log_alpha_dot(t))


class VariancePreserving(Schedule):
    r"""A schedule of unit variance: the signal scale determines the noise scale.

    .. math::
        :label: variance-preserving

        \alpha_t^2 + \sigma_t^2 = 1
        \quad\Rightarrow\quad
        \frac{\mathrm d \log \sigma_t}{\mathrm d t}
        = -\frac{\alpha_t^2}{\sigma_t^2}\, \frac{\mathrm d \log \alpha_t}{\mathrm d t}
    """

    def log_sigma(self, t: Times) -> Values:
        with np.errstate(divide="ignore"):
            return 0.5 * np.log(-np.expm1(2.0 * self.log_alpha(t)))

    def log_sigma_dot(self, t: Times) -> Values:
        # α² / σ² = 1 / (α⁻² - 1); where α = 0 and its derivative is finite, the limit is 0
        log_alpha = self.log_alpha(t)
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = -self.log_alpha_dot(t) / np.abs(np.expm1(-2.0 * log_alpha))
        return np.where(np.isneginf(log_alpha), 0.0, rate)


def noise_level_timestep(schedule: Schedule, t: Times) -> Values:
    r"""A timestep linear in the log noise level at high noise, where most levels take little time.

    .. math::
        :label: level-timestep

        \text{timestep}_t = 1000\, \frac{\log(1 + \varsigma_t / \varsigma_{t_{\min}})}
                                     {\log(1 + \varsigma_{t_{\max}} / \varsigma_{t_{\min}})},
        \qquad \varsigma_t = \frac{\sigma_t}{\alpha_t}

    Well above the noise of ``t_min`` it is linear in log-SNR; below, it bends to 0.
    """
    levels = (np.exp(-0.5 * schedule.log_snr(u)) for u in (t, schedule.t_min, schedule.t_max))
    level, lowest, highest = levels
    return 1000.0 * np.log1p(level / lowest) / np.log1p(highest / lowest)
