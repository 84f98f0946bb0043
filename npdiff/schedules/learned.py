"""Learned schedules: any increasing function gamma as the negative log-SNR."""

from collections.abc import Callable

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules.base import Times, Values, VariancePreserving, noise_level_timestep

#: From u in [0, 1] to gamma(u) and its derivative, float64 arrays of the shape of u.
Curve = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

#: Where a schedule checks that its curve increases.
_PROBES = np.linspace(0.0, 1.0, 101)


def straight(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """VDM's fixed curve: log-SNR falls linearly from 13.3 to -5."""
    return -13.3 + 18.3 * u, np.full_like(u, 18.3)


class Learned(VariancePreserving):
    r"""The schedule of variational diffusion models: gamma = -log-SNR, with unit variance.

    .. math::
        :label: learned-log-snr

        \lambda_t = -\gamma(u),
        \qquad \alpha_t^2 = \frac{1}{1 + e^{\gamma(u)}},
        \qquad \sigma_t^2 = \frac{1}{1 + e^{-\gamma(u)}},
        \qquad u = \frac{t - t_{\min}}{1 - t_{\min}}

    The curve starts, at u = 0, with some noise, which the paper leaves to a likelihood. Here t = 0
    is the data: below ``t_min`` log alpha is interpolated linearly, as in a discrete schedule.

    Parameters
    ----------
    curve : maps u in [0, 1] to the increasing gamma(u) and its derivative, both float64 on the
        host; for example the ``curve`` of :class:`npdiff.nn.MonotoneNetwork`

    Raises
    ------
    InputError
        If gamma does not increase or is not finite.

    Notes
    -----
    Kingma et al. 2021 (VDM), section 3.2.
    """

    t_max = 1.0
    t_min = 1e-3

    def __init__(self, curve: Curve = straight) -> None:
        gamma, gamma_dot = curve(_PROBES)
        if not (np.isfinite(gamma).all() and (np.diff(gamma) > 0.0).all()):
            raise InputError(
                "the curve gamma must be finite and increasing on [0, 1], got values from "
                f"{gamma.min():g} to {gamma.max():g} with a smallest difference of "
                f"{np.diff(gamma).min():g}"
            )
        if not (gamma_dot > 0.0).all():
            raise InputError(
                "the derivative of gamma must be positive on [0, 1], got a smallest value of "
                f"{gamma_dot.min():g}"
            )
        self.curve = curve

    def log_alpha(self, t: Times) -> Values:
        t = self.time(t)
        gamma, _ = self._gamma(t)
        return -0.5 * np.logaddexp(0.0, gamma) * np.minimum(t / self.t_min, 1.0)

    def log_alpha_dot(self, t: Times) -> Values:
        t = self.time(t)
        gamma, gamma_dot = self._gamma(t)
        begun = -0.5 * gamma_dot / (1.0 + np.exp(-gamma)) / (1.0 - self.t_min)
        return np.where(t < self.t_min, -0.5 * np.logaddexp(0.0, gamma) / self.t_min, begun)

    def timestep(self, t: Times) -> Values:
        return noise_level_timestep(self, t)

    def _gamma(self, t: Times) -> tuple[np.ndarray, np.ndarray]:
        """gamma and its derivative at t; below ``t_min`` those at u = 0."""
        return self.curve(np.maximum(t - self.t_min, 0.0) / (1.0 - self.t_min))
