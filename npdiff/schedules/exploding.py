"""Variance-exploding schedules: the signal scale is 1 throughout and the noise grows."""

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules.base import Schedule, Times, Values, noise_level_timestep


class VarianceExploding(Schedule):
    """A schedule with alpha = 1: x_t = x_0 + sigma_t eps."""

    def log_alpha(self, t: Times) -> Values:
        return np.zeros_like(self.time(t))

    def log_alpha_dot(self, t: Times) -> Values:
        return np.zeros_like(self.time(t))

    def timestep(self, t: Times) -> Values:
        return noise_level_timestep(self, t)


class VE(VarianceExploding):
    r"""The variance-exploding SDE, whose noise grows geometrically.

    .. math::
        :label: exploding-variance

        \alpha_t = 1,
        \qquad
        \sigma_t^2 = \sigma_{\min}^2
        \left[ \left(\frac{\sigma_{\max}}{\sigma_{\min}}\right)^{2 t} - 1 \right],
        \qquad 0 \le t \le 1

    This is the variance that the SDE adds from t = 0 on. The paper's program leaves out the -1, and
    so counts sigma_min^2 as part of the data; ``t_min`` is the time at which sigma = sigma_min.

    Parameters
    ----------
    sigma_min, sigma_max : standard deviations

    Raises
    ------
    InputError
        Unless 0 < sqrt(2) sigma_min < sigma_max, which puts ``t_min`` below 1.

    Notes
    -----
    Song et al. 2021, section 3.4 and appendix B.
    """

    t_max = 1.0

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0) -> None:
        if not 0.0 < np.sqrt(2.0) * sigma_min < sigma_max < np.inf:
            raise InputError(
                f"expected 0 < sqrt(2) sigma_min < sigma_max, got {sigma_min} and {sigma_max}"
            )
        self.sigma_min, self.sigma_max = sigma_min, sigma_max
        self._growth = 2.0 * np.log(sigma_max / sigma_min)
        self.t_min = float(np.log(2.0) / self._growth)

    def log_sigma(self, t: Times) -> Values:
        with np.errstate(divide="ignore"):
            return np.log(self.sigma_min) + 0.5 * np.log(np.expm1(self._growth * self.time(t)))

    def log_sigma_dot(self, t: Times) -> Values:
        with np.errstate(divide="ignore"):
            return -0.5 * self._growth / np.expm1(-self._growth * self.time(t))


class EDM(VarianceExploding):
    r"""EDM's schedule: t is the noise scale itself.

    .. math::
        :label: edm-schedule

        \alpha_t = 1, \qquad \sigma_t = t, \qquad 0 \le t \le \sigma_{\max}

    Parameters
    ----------
    sigma_max : the noise scale that sampling starts from, in the units of the data
    sigma_min : the smallest noise scale in training and sampling, ``t_min``

    Raises
    ------
    InputError
        Unless 0 < sigma_min < sigma_max.

    Notes
    -----
    Karras et al. 2022, Table 1.
    """

    def __init__(self, sigma_max: float = 80.0, sigma_min: float = 0.002) -> None:
        if not 0.0 < sigma_min < sigma_max < np.inf:
            raise InputError(f"expected 0 < sigma_min < sigma_max, got {sigma_min} and {sigma_max}")
        self.sigma_max, self.sigma_min = sigma_max, sigma_min
        self.t_min, self.t_max = float(sigma_min), float(sigma_max)

    def log_sigma(self, t: Times) -> Values:
        with np.errstate(divide="ignore"):
            return np.log(self.time(t))

    def log_sigma_dot(self, t: Times) -> Values:
        with np.errstate(divide="ignore"):
            return 1.0 / self.time(t)

    def sigma(self, t: Times) -> Values:
        return self.time(t).copy()

    def sigma_dot(self, t: Times) -> Values:
        return np.ones_like(self.time(t))
