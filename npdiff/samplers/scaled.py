r"""The ODE in EDM's coordinates: x / alpha as a function of sigma / alpha.

.. math::
    :label: flow-in-sigma

    z = \frac{x_t}{\alpha_t}, \quad u = \frac{\sigma_t}{\alpha_t}
    \qquad\Rightarrow\qquad
    \frac{\mathrm d z}{\mathrm d u} = \hat\epsilon(x_t, t),
    \qquad \hat x_0 = z - u\, \hat\epsilon

is the probability-flow ODE :eq:`probability-flow` without its dependence on the schedule (Song,
Meng and Ermon 2021, section 4.3; Karras et al. 2022, section 2). A solver only has to integrate
eps_hat over u, whatever the schedule.

Where no signal is left, u is infinite. A step that starts there, or beyond ``PURE_NOISE``, uses
eps_hat at its start alone: it is DDIM's.
"""

import math

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.schedules import Schedule

#: The sigma / alpha beyond which x_t counts as pure noise. A schedule whose last beta is clipped to
#: keep a trace of signal (cosine: 20 291) has no usable signal there, and the error of a slope,
#: multiplied by a step of that length, would exceed x.
PURE_NOISE = 1000.0


def noise_ratio(schedule: Schedule, t: float) -> float:
    """u = sigma / alpha: 0 at the data, infinite where there is no signal."""
    return math.exp(-0.5 * schedule.log_snr(t))


def time_at_noise_ratio(schedule: Schedule, u: float) -> float:
    """The time at which sigma / alpha is ``u``."""
    return schedule.time_at(-2.0 * math.log(u))


def advance(
    x0_hat: Array, eps_hat: Array, u: float, u_s: float, slope: Array | None = None
) -> Array:
    """z at ``u_s`` from the estimates at ``u`` and the mean slope of the step, :eq:`flow-in-sigma`.

    Parameters
    ----------
    x0_hat, eps_hat : the estimates at ``u``
    u, u_s : sigma / alpha at the start and at the end
    slope : the mean of eps_hat over the step. If it is None, and in every step from pure noise,
        ``eps_hat`` is used instead
    """
    z = x0_hat + u_s * eps_hat
    if slope is None or u > PURE_NOISE:
        return z
    return z + (u_s - u) * (slope - eps_hat)


def runge_kutta(
    denoise: Denoise,
    schedule: Schedule,
    x0_hat: Array,
    eps_hat: Array,
    timesteps: tuple[float, float, float],
) -> Array:
    r"""The mean slope of a step by the classical Runge-Kutta formula.

    .. math::
        :label: pseudo-runge-kutta

        \bar\epsilon = \tfrac16 \left( e_1 + 2 e_2 + 2 e_3 + e_4 \right)

    where :math:`e_1` is the estimate at t; :math:`e_2` and :math:`e_3` are those in the middle,
    reached with the slopes :math:`e_1` and :math:`e_2`; and :math:`e_4` is that at s, reached with
    :math:`e_3`. Of fourth order if the middle is halfway in sigma / alpha, not in time.

    Evaluations: three.

    Parameters
    ----------
    denoise : maps (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x0_hat, eps_hat : the estimates at t
    timesteps : t, the middle, and s > 0

    Notes
    -----
    Liu et al. 2022 (PNDM), Eq. 13.
    """
    _, m, s = timesteps
    u, u_m, u_s = (noise_ratio(schedule, time) for time in timesteps)
    alpha_m, alpha_s = schedule.alpha(m), schedule.alpha(s)
    _, e_2 = denoise(alpha_m * advance(x0_hat, eps_hat, u, u_m), m)
    _, e_3 = denoise(alpha_m * advance(x0_hat, eps_hat, u, u_m, e_2), m)
    _, e_4 = denoise(alpha_s * advance(x0_hat, eps_hat, u, u_s, e_3), s)
    return (eps_hat + 2.0 * e_2 + 2.0 * e_3 + e_4) / 6.0
