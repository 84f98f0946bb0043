"""Straight paths from data to noise."""

import numpy as np

from npdiff.schedules.base import Schedule, Times


class RectifiedFlow(Schedule):
    r"""The straight path from data to noise.

    .. math::
        :label: rectified-flow

        \alpha_t = 1 - t, \qquad \sigma_t = t, \qquad 0 \le t \le 1

    At t = 1 there is no signal: log alpha and log-SNR are -inf, f is -inf and g^2 is inf, while the
    derivatives of alpha and sigma are -1 and 1 throughout.

    Notes
    -----
    Liu et al. 2023, section 2; Lipman et al. 2023, Eq. 20 with sigma_min = 0. Both papers put the
    data at t = 1; here they are at t = 0, as everywhere.
    """

    t_max = 1.0
    t_min = 1e-3

    def log_alpha(self, t: Times) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log1p(-self.time(t))

    def log_sigma(self, t: Times) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(self.time(t))

    def log_alpha_dot(self, t: Times) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return -1.0 / (1.0 - self.time(t))

    def log_sigma_dot(self, t: Times) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return 1.0 / self.time(t)

    def alpha(self, t: Times) -> np.ndarray:
        return 1.0 - self.time(t)

    def sigma(self, t: Times) -> np.ndarray:
        return self.time(t).copy()

    def alpha_dot(self, t: Times) -> np.ndarray:
        return -np.ones_like(self.time(t))

    def sigma_dot(self, t: Times) -> np.ndarray:
        return np.ones_like(self.time(t))

    def clock(self, t: Times) -> np.ndarray:
        return 1000.0 * self.time(t)
