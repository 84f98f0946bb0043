"""Two reference solutions of the probability-flow ODE: by quantiles, and by an accurate solver.

Both run on the host in float64, whatever the device of x.
"""

from collections.abc import Callable

import numpy as np

from npdiff.backend import Array, namespace, to_host
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.schedules import Schedule, Times, VariancePreserving

#: From points to the probabilities below and above them.
Tails = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

#: Relative and absolute tolerance of the solver, in units of sqrt(alpha^2 + sigma^2).
RTOL, ATOL = 1e-11, 1e-12

#: Bisections until the two ends are neighboring float64 values.
_HALVINGS = 100

#: The angle at which the solver stops before 0; one call of the denoiser does the rest.
_FIRST_ANGLE = 1e-8


def flow_by_quantiles(x: Array, tails_t: Tails, tails_s: Tails) -> Array:
    r"""The solution of the probability-flow ODE in one dimension, by quantiles.

    .. math::
        :label: quantile-flow

        F_s(x_s) = F_t(x_t)

    with the distribution functions F of q. The flow keeps the order of points, so each point stays
    at its quantile. The equation is solved by bisection.

    Parameters
    ----------
    x : array, each element a point on the line
    tails_t, tails_s : at time t and at s, functions from points to the probabilities below and
        above them

    Raises
    ------
    InputError
        If a point is NaN, or so far out that a tail underflows in float64.
    """
    below, above = tails_t(to_host(x).astype(np.float64))
    if not ((below > 0.0) & (above > 0.0)).all():
        raise InputError(
            "a point must be a number with a positive probability on both sides in float64, got "
            f"{to_host(x)[~((below > 0.0) & (above > 0.0))].flat[0]:g}"
        )

    def too_low(point: np.ndarray) -> np.ndarray:
        below_s, above_s = tails_s(point)
        # the smaller tail is the accurate one
        return np.where(below < above, below_s < below, above_s > above)

    high = np.ones_like(below)
    while (too_low(high) | ~too_low(-high)).any():
        high = 2.0 * high
    low = -high
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        up = too_low(middle)
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    return namespace(x).asarray(high, dtype=x.dtype)


def flow_by_solver(
    denoiser: Callable[[Schedule], Denoise], schedule: Schedule, x: Array, t: float, s: float
) -> Array:
    r"""The solution of the probability-flow ODE in any number of dimensions, by a solver.

    It solves the form :eq:`flow-in-angle`. At equal angles all schedules agree up to a scale, and
    the equation is smooth from angle 0, the data, to a right angle, pure noise. The solver is the
    method of Dormand and Prince of order 8, with a relative tolerance of 1e-11 and an absolute
    tolerance of 1e-12.

    Parameters
    ----------
    denoiser : function from a schedule to the exact denoiser of the distribution
    schedule : Schedule
    x : (N, ...) array, the state at time t
    t, s : times

    Raises
    ------
    InputError
        If the solver fails.
    """
    from scipy.integrate import solve_ivp

    scale, angle = _polar(schedule, t)
    scale_s, angle_s = _polar(schedule, s)
    denoise = denoiser(_Circle())

    def slope(phi: float, z: np.ndarray) -> np.ndarray:
        x_0, eps = denoise(z.reshape(x.shape), phi)
        return (np.cos(phi) * eps - np.sin(phi) * x_0).reshape(-1)

    z = to_host(x).astype(np.float64) / scale
    if angle != angle_s:
        ends = (angle, max(angle_s, _FIRST_ANGLE))
        solved = solve_ivp(slope, ends, z.reshape(-1), method="DOP853", rtol=RTOL, atol=ATOL)
        if not solved.success:
            raise InputError(f"the probability-flow ODE could not be solved: {solved.message}")
        z = solved.y[:, -1].reshape(x.shape)
        if angle_s < _FIRST_ANGLE:
            z = denoise(z, ends[1])[0]
    return namespace(x).asarray(scale_s * z, dtype=x.dtype)


def _polar(schedule: Schedule, t: float) -> tuple[float, float]:
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    return float(np.hypot(alpha, sigma)), float(np.arctan2(sigma, alpha))


class _Circle(VariancePreserving):
    """alpha = cos t, sigma = sin t: time is the angle."""

    t_max = 0.5 * np.pi
    t_min = 1e-3

    def log_alpha(self, t: Times) -> np.ndarray:
        return np.log(np.cos(self.time(t)))

    def log_sigma(self, t: Times) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(np.sin(self.time(t)))

    def log_alpha_dot(self, t: Times) -> np.ndarray:
        return -np.tan(self.time(t))

    def timestep(self, t: Times) -> np.ndarray:
        return self.time(t)
