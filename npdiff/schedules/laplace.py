"""The Laplace schedule, defined by the distribution of log-SNR over uniform times."""

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules.base import Times, Values, VariancePreserving, noise_level_timestep


class Laplace(VariancePreserving):
    r"""The Laplace schedule: over uniform times log-SNR has a Laplace distribution.

    .. math::
        :label: laplace-log-snr

        \lambda_t = \mu - b\, \operatorname{sgn}\!\left(\tfrac12 - t\right)
        \log\!\left(1 - 2 \left|t - \tfrac12\right|\right),
        \qquad 0 \le t < 1

    t is the probability of a larger log-SNR, so this is the inverse of the distribution function.
    Half of all times have a log-SNR within b log 2 of mu, and the tails take almost no time:
    ``t_min`` and ``t_max``, where log-SNR is mu + reach and mu - reach, lie about 1e-9 from 0 and
    1. Sample with timesteps evenly spaced in log-SNR (spacing ``log-snr``), not in time.

    Parameters
    ----------
    mean : mu, the median log-SNR
    scale : b
    reach : the distance in log-SNR from the median to each end

    Raises
    ------
    InputError
        If the scale is not positive, or the ends are too close to 0 and 1 for float64.

    Notes
    -----
    Hang et al. 2024.
    """

    def __init__(self, mean: float = 0.0, scale: float = 0.5, reach: float = 10.0) -> None:
        tail = 0.5 * np.exp(-reach / scale) if scale > 0.0 else 0.0
        if not 1e-12 < tail < 0.5:
            raise InputError(
                f"expected 0 < scale and 0 < reach < 27 * scale, got {scale} and {reach}"
            )
        self.mean, self.scale, self.reach = mean, scale, reach
        self.t_min, self.t_max = float(tail), float(1.0 - tail)

    def log_alpha(self, t: Times) -> Values:
        t = self.time(t)
        noise, signal = self._odds(t)
        late = 0.5 * (np.log(signal) - np.log1p(signal))
        return np.where(t <= 0.5, -0.5 * np.log1p(noise), late)

    def log_alpha_dot(self, t: Times) -> Values:
        t = self.time(t)
        noise, signal = self._odds(t)
        with np.errstate(divide="ignore"):
            growth = 2.0 * self.scale * np.exp(-self.mean) * (2.0 * t) ** (self.scale - 1.0)
        late = self.scale / (1.0 - t) / (1.0 + signal)
        return -0.5 * np.where(t <= 0.5, growth / (1.0 + noise), late)

    def timestep(self, t: Times) -> Values:
        return noise_level_timestep(self, t)

    def _odds(self, t: Times) -> tuple[np.ndarray, np.ndarray]:
        """1 / SNR, valid for t up to 1/2, and SNR, valid from there on."""
        noise = np.exp(-self.mean) * (2.0 * t) ** self.scale
        return noise, np.exp(self.mean) * (2.0 * (1.0 - t)) ** self.scale
