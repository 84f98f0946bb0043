"""Rectified flow: straight paths from data to noise."""

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules.base import Schedule, Times, Values


class RectifiedFlow(Schedule):
    r"""The straight path from data to noise, at constant speed or with more time at high noise.

    .. math::
        :label: rectified-flow

        \alpha_t = 1 - u_t, \qquad \sigma_t = u_t, \qquad 0 \le t \le 1

    where u = t, or its shift as in Stable Diffusion 3:

    .. math::
        :label: flow-shift

        u_t = \frac{k\, t}{1 + (k - 1)\, t}
        \quad\Leftrightarrow\quad
        \lambda_t = 2 \log \frac{1 - t}{t} - 2 \log k

    The shift compensates for a higher resolution, at which the same noise hides less: it is the
    same path with log-SNR lower by 2 log k. The timestep is 1000 u, so one network serves every
    shift.

    At t = 1 there is no signal: log alpha and log-SNR are -inf, f is -inf and g^2 is inf, while the
    derivatives of alpha and sigma are finite throughout.

    Parameters
    ----------
    shift : k; 1 is the unshifted path, 3 is that of Stable Diffusion 3

    Raises
    ------
    InputError
        Unless the shift is positive.

    Notes
    -----
    Liu et al. 2023, section 2; Lipman et al. 2023, Eq. 20 with sigma_min = 0; the shift is from
    Esser et al. 2024, section 5. The first two papers have the data at t = 1; here, as everywhere
    in npdiff, t = 0 is the data.
    """

    t_max = 1.0
    t_min = 1e-3

    def __init__(self, shift: float = 1.0) -> None:
        if not 0.0 < shift < np.inf:
            raise InputError(
                f"shift must be positive and finite, got {shift}: use 1 for the unshifted path"
            )
        self.shift = shift

    def log_alpha(self, t: Times) -> Values:
        with np.errstate(divide="ignore"):
            return np.log1p(-self.time(t)) - np.log1p((self.shift - 1.0) * self.time(t))

    def log_sigma(self, t: Times) -> Values:
        with np.errstate(divide="ignore"):
            return np.log(self.sigma(t))

    def log_alpha_dot(self, t: Times) -> Values:
        with np.errstate(divide="ignore"):
            return self.alpha_dot(t) / self.alpha(t)

    def log_sigma_dot(self, t: Times) -> Values:
        with np.errstate(divide="ignore"):
            return self.sigma_dot(t) / self.sigma(t)

    def alpha(self, t: Times) -> Values:
        return (1.0 - self.time(t)) / self._stretch(t)

    def sigma(self, t: Times) -> Values:
        return self.shift * self.time(t) / self._stretch(t)

    def alpha_dot(self, t: Times) -> Values:
        return -self.sigma_dot(t)

    def sigma_dot(self, t: Times) -> Values:
        return self.shift / self._stretch(t) ** 2

    def timestep(self, t: Times) -> Values:
        return 1000.0 * self.sigma(t)

    def _stretch(self, t: Times) -> Values:
        return 1.0 + (self.shift - 1.0) * self.time(t)


def shifted_flow(shift: float = 3.0) -> RectifiedFlow:
    """The rectified flow of Stable Diffusion 3, :eq:`flow-shift` with k = 3."""
    return RectifiedFlow(shift)
