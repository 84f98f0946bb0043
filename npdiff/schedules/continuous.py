"""Schedules in continuous time, 0 to 1."""

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules.base import Schedule, Times, Values, VariancePreserving


class LinearVP(VariancePreserving):
    r"""The variance-preserving SDE with linear beta(t): the limit of DDPM's schedule as T grows.

    .. math::
        :label: linear-vp

        \log \alpha_t = -\tfrac14 t^2 (\beta_{\max} - \beta_{\min}) - \tfrac12 t\, \beta_{\min},
        \qquad 0 \le t \le 1

    At t = 0 the noise scale is 0 and its derivative infinite; ``t_min`` = 0.001 corresponds to the
    first of 1000 steps.

    Parameters
    ----------
    beta_min, beta_max : beta(0) and beta(1)

    Notes
    -----
    Song et al. 2021, section 3.4 and appendix B.
    """

    t_max = 1.0
    t_min = 1e-3

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        if not 0.0 < beta_min <= beta_max:
            raise InputError(f"expected 0 < beta_min <= beta_max, got {beta_min} and {beta_max}")
        self.beta_min, self.beta_max = beta_min, beta_max

    def log_alpha(self, t: Times) -> Values:
        t = self.time(t)
        return -0.25 * t**2 * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min

    def log_alpha_dot(self, t: Times) -> Values:
        return -0.5 * (self.beta_min + self.time(t) * (self.beta_max - self.beta_min))

    def timestep(self, t: Times) -> Values:
        return 1000.0 * self.time(t)


class SubVP(Schedule):
    r"""The sub-VP SDE: the signal scale of the variance-preserving SDE, and less noise.

    .. math::
        :label: sub-vp

        \sigma_t = 1 - \alpha_t^2

    with the signal scale of :eq:`linear-vp`. The noise scale is the square of that SDE's, so the
    variance is not preserved.

    Parameters
    ----------
    beta_min, beta_max : as for :class:`LinearVP`

    Notes
    -----
    Song et al. 2021, section 3.4 and appendix B.
    """

    t_max = LinearVP.t_max
    t_min = LinearVP.t_min

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        self._vp = LinearVP(beta_min, beta_max)
        self.beta_min, self.beta_max = beta_min, beta_max

    def log_alpha(self, t: Times) -> Values:
        return self._vp.log_alpha(t)

    def log_alpha_dot(self, t: Times) -> Values:
        return self._vp.log_alpha_dot(t)

    def log_sigma(self, t: Times) -> Values:
        return 2.0 * self._vp.log_sigma(t)

    def log_sigma_dot(self, t: Times) -> Values:
        return 2.0 * self._vp.log_sigma_dot(t)

    def timestep(self, t: Times) -> Values:
        return self._vp.timestep(t)


class Cosine(VariancePreserving):
    r"""The cosine schedule in continuous time.

    .. math::
        :label: cosine-alpha-bar

        \bar\alpha(u) = \frac{\cos^2\!\big(\tfrac{u + s}{1 + s} \tfrac{\pi}{2}\big)}
                             {\cos^2\!\big(\tfrac{s}{1 + s} \tfrac{\pi}{2}\big)},
        \qquad u = 0.9946\, t, \quad 0 \le t \le 1

    The cosine vanishes at u = 1. Time is therefore scaled to end at u = 0.9946, where the log-SNR
    is about -9.6 and everything is finite. At t = 0 there is no noise, and the derivative of sigma
    is infinite; training and sampling stop at ``t_min`` = 0.001.

    Parameters
    ----------
    s : the offset, which keeps the noise of the first times from vanishing
    end : u at t = 1

    Notes
    -----
    Nichol and Dhariwal 2021, section 3.2; the end is that of Lu et al. 2022 (DPM-Solver), appendix.
    """

    t_max = 1.0
    t_min = 1e-3

    def __init__(self, s: float = 0.008, end: float = 0.9946) -> None:
        if not (s >= 0.0 and 0.0 < end < 1.0):
            raise InputError(f"expected s >= 0 and 0 < end < 1, got {s} and {end}")
        self.s, self.end = s, end

    def log_alpha(self, t: Times) -> Values:
        return cosine_log_alpha(self.end * self.time(t), self.s)

    def log_alpha_dot(self, t: Times) -> Values:
        rate = 0.5 * np.pi / (1.0 + self.s)
        return -self.end * rate * np.tan((self.end * self.time(t) + self.s) * rate)

    def timestep(self, t: Times) -> Values:
        return 1000.0 * self.time(t)


def cosine_log_alpha(u: np.ndarray, s: float) -> np.ndarray:
    """log alpha of :eq:`cosine-alpha-bar`, accurate near u = 0.

    With a = pi s / (2 (1 + s)) and b = pi u / (2 (1 + s)) it is log(cos(a + b) / cos(a)) =
    log(cos b - tan a sin b).
    """
    a, b = 0.5 * np.pi * s / (1.0 + s), 0.5 * np.pi * u / (1.0 + s)
    return np.log1p(-2.0 * np.sin(0.5 * b) ** 2 - np.tan(a) * np.sin(b))
