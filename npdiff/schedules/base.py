r"""What a schedule is: signal and noise scales over time, and all that follows from them."""

import math
from abc import ABC, abstractmethod

import numpy as np

from npdiff.errors import InputError

#: A time or a number for each time: a scalar, or an ``(N,)`` array with one number a sample.
Times = float | np.ndarray

#: How often an interval is halved until its ends are neighboring float64 numbers, whatever their
#: scale; and how many times at once a schedule evaluates about as quickly as one.
_BITS, _NUMBERS = 100, 64


class Schedule(ABC):
    r"""Signal and noise scales, and what follows from them.

    A subclass states the two logarithms and their time derivatives; the rest is derived here, once.
    The ends are limits. At t = 0 there is no noise: log sigma is -inf, log-SNR is inf, and the
    derivative of log sigma is inf. Where a schedule ends without signal, log alpha, log-SNR and f
    are -inf at ``t_max`` and g^2 is inf; such a schedule states the derivative of alpha itself.

    .. math::
        :label: log-snr

        \lambda_t = \log\frac{\alpha_t^2}{\sigma_t^2}
        \qquad\text{strictly decreasing in } t

    Every method takes a scalar or an array of times and returns float64 of the same shape.

    Attributes
    ----------
    t_max : float
        The last time: where sampling starts.
    t_min : float
        The first time at which there is noise to remove: training draws its times from here to
        ``t_max``, and a grid's last step is from here or from above to 0. On a chain it is row 1.
    steps : int or None
        T, where the schedule is a chain of T steps; None where time is continuous.

    Notes
    -----
    The notation is that of Kingma et al. 2021 (VDM), section 3; and of Lu et al. 2022 (DPM-Solver),
    section 2, where lambda is half of this one.
    """

    t_max: float
    t_min: float
    steps: int | None = None

    @abstractmethod
    def log_alpha(self, t: Times) -> np.ndarray:
        """The logarithm of the signal scale; -inf where there is no signal."""

    @abstractmethod
    def log_sigma(self, t: Times) -> np.ndarray:
        """The logarithm of the noise scale; -inf where there is no noise."""

    @abstractmethod
    def log_alpha_dot(self, t: Times) -> np.ndarray:
        """The time derivative of :meth:`log_alpha`; -inf where there is no signal."""

    @abstractmethod
    def log_sigma_dot(self, t: Times) -> np.ndarray:
        """The time derivative of :meth:`log_sigma`; inf where there is no noise."""

    @abstractmethod
    def timestep(self, t: Times) -> np.ndarray:
        """What the network is told of the time, on the scale 0..1000."""

    def time(self, t: Times) -> np.ndarray:
        """``t`` as float64, checked.

        Raises
        ------
        InputError
            If a time is no number or lies outside of [0, t_max].
        """
        t = np.asarray(t, dtype=np.float64)
        inside = (t >= 0.0) & (t <= self.t_max)
        if not inside.all():
            raise InputError(
                f"time {t[~inside].flat[0]:g} lies outside of this schedule: "
                f"it runs from 0 (data) to {self.t_max:g} (noise)"
            )
        return t

    def alpha(self, t: Times) -> np.ndarray:
        """The signal scale."""
        return np.exp(self.log_alpha(t))

    def sigma(self, t: Times) -> np.ndarray:
        """The noise scale, a standard deviation."""
        return np.exp(self.log_sigma(t))

    def alpha_dot(self, t: Times) -> np.ndarray:
        """The time derivative of the signal scale."""
        return self.alpha(t) * self.log_alpha_dot(t)

    def sigma_dot(self, t: Times) -> np.ndarray:
        """The time derivative of the noise scale; for t > 0."""
        return self.sigma(t) * self.log_sigma_dot(t)

    def log_snr(self, t: Times) -> np.ndarray:
        """The log signal-to-noise ratio, :eq:`log-snr`; inf where there is no noise, -inf where
        there is no signal.
        """
        return 2.0 * (self.log_alpha(t) - self.log_sigma(t))

    def time_at(self, log_snr: Times) -> np.ndarray:
        """The time with this log signal-to-noise ratio: the inverse of :meth:`log_snr`.

        By bisection, into many parts at once for few numbers: all it needs is that log-SNR
        decreases.

        Raises
        ------
        InputError
            If the schedule never gets as noisy, or never as clean.
        """
        wanted = np.asarray(log_snr, dtype=np.float64)
        cleanest, noisiest = self.log_snr(0.0), self.log_snr(self.t_max)
        inside = (wanted >= noisiest) & (wanted <= cleanest)
        if not inside.all():
            raise InputError(
                f"log-SNR {wanted[~inside].flat[0]:g} lies outside of this schedule: "
                f"it falls from {cleanest:g} to {noisiest:g}"
            )
        # A call costs more than a number does, so that a few numbers are sought in many parts.
        parts = max(2, _NUMBERS // max(1, wanted.size))
        inner = (np.arange(1, parts) / parts).reshape(-1, *(1,) * wanted.ndim)
        clean, noisy = np.zeros_like(wanted), np.full_like(wanted, self.t_max)
        for _ in range(math.ceil(_BITS / math.log2(parts))):
            edges = np.concatenate([clean[None], clean + inner * (noisy - clean), noisy[None]])
            too_clean = (self.log_snr(edges[1:-1]) > wanted).sum(axis=0, keepdims=True)
            clean = np.take_along_axis(edges, too_clean, axis=0)[0]
            noisy = np.take_along_axis(edges, too_clean + 1, axis=0)[0]
        return np.where(wanted == cleanest, 0.0, noisy)

    def drift(self, t: Times) -> np.ndarray:
        r"""The drift coefficient f(t) of the forward SDE dx = f x dt + g dw.

        .. math::
            :label: sde-drift

            f(t) = \frac{\mathrm d \log \alpha_t}{\mathrm d t}

        Notes
        -----
        Song et al. 2021, section 3; in terms of alpha and sigma Lu et al. 2022 (DPM-Solver),
        section 2.
        """
        return self.log_alpha_dot(t)

    def diffusion(self, t: Times) -> np.ndarray:
        r"""The squared diffusion coefficient g(t)^2 of the forward SDE; for t > 0.

        .. math::
            :label: sde-diffusion

            g(t)^2 = \frac{\mathrm d \sigma_t^2}{\mathrm d t} - 2 f(t)\, \sigma_t^2
                   = -\sigma_t^2\, \frac{\mathrm d \lambda_t}{\mathrm d t}

        Notes
        -----
        Song et al. 2021, section 3; in terms of alpha and sigma Lu et al. 2022 (DPM-Solver),
        section 2.
        """
        variance = np.exp(2.0 * self.log_sigma(t))
        return 2.0 * variance * (self.log_sigma_dot(t) - self.log_alpha_dot(t))


class VariancePreserving(Schedule):
    r"""A schedule that keeps unit variance: the signal scale settles the noise scale.

    .. math::
        :label: variance-preserving

        \alpha_t^2 + \sigma_t^2 = 1
        \quad\Rightarrow\quad
        \frac{\mathrm d \log \sigma_t}{\mathrm d t}
        = -\frac{\alpha_t^2}{\sigma_t^2}\, \frac{\mathrm d \log \alpha_t}{\mathrm d t}
    """

    def log_sigma(self, t: Times) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return 0.5 * np.log(-np.expm1(2.0 * self.log_alpha(t)))

    def log_sigma_dot(self, t: Times) -> np.ndarray:
        # α² / σ² = 1 / (α⁻² - 1); where α = 0 and its derivative is finite, the limit is 0
        log_alpha = self.log_alpha(t)
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = -self.log_alpha_dot(t) / np.abs(np.expm1(-2.0 * log_alpha))
        return np.where(np.isneginf(log_alpha), 0.0, rate)


def level_timestep(schedule: Schedule, t: Times) -> np.ndarray:
    r"""A clock that tells the noise level, for schedules whose time is crowded at an end.

    .. math::
        :label: level-timestep

        \text{clock}_t = 1000\, \frac{\log(1 + \varsigma_t / \varsigma_{t_{\min}})}
                                  {\log(1 + \varsigma_{t_{\max}} / \varsigma_{t_{\min}})},
        \qquad \varsigma_t = \frac{\sigma_t}{\alpha_t}

    Well above the noise of ``t_min`` it is linear in log-SNR; below, it bends to 0.
    """
    levels = (np.exp(-0.5 * schedule.log_snr(u)) for u in (t, schedule.t_min, schedule.t_max))
    level, lowest, highest = levels
    return 1000.0 * np.log1p(level / lowest) / np.log1p(highest / lowest)
