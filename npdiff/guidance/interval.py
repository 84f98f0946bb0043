r"""Guidance in an interval of noise levels only."""

import math

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.schedules import Schedule, Times


def guidance_interval(
    guided: Denoise, cond: Denoise, schedule: Schedule, low: float, high: float
) -> Denoise:
    r"""Guidance in a limited interval of noise levels.

    .. math::
        :label: guidance-interval

        w_t = \begin{cases} w & \text{if } \text{low} < \sigma_t / \alpha_t \le \text{high} \\
        1 & \text{otherwise} \end{cases}

    At high noise guidance reduces the variety of samples, and at low noise it hardly changes them.

    Parameters
    ----------
    guided, cond : the denoisers inside and outside the interval
    schedule : Schedule
    low, high : noise levels in units of the data, EDM's sigma; ``math.inf`` for no upper limit

    Returns
    -------
    Denoise
        At a scalar time it evaluates only one of the two.

    Raises
    ------
    InputError
        Unless 0 <= low < high.

    Notes
    -----
    Kynkäänniemi et al. 2024, section 3.
    """
    if not 0.0 <= low < high:
        raise InputError(
            f"the noise levels of a guidance interval must satisfy 0 <= low < high, "
            f"got {low} and {high}"
        )
    log_low, log_high = (math.log(level) if level > 0.0 else -math.inf for level in (low, high))

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        log_level = -0.5 * schedule.log_snr(t)
        inside = (log_low < log_level) & (log_level <= log_high)
        if np.ndim(inside) == 0:
            return guided(x, t) if inside else cond(x, t)
        xp = namespace(x)
        mask = xp.asarray(inside.reshape(-1, *(1,) * (x.ndim - 1)))
        both = zip(guided(x, t), cond(x, t), strict=True)
        x0_hat, eps_hat = (xp.where(mask, inner, outer) for inner, outer in both)
        return x0_hat, eps_hat

    return denoise
