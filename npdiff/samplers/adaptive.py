"""The probability-flow ODE by SciPy's adaptive Runge-Kutta methods."""

import math

import numpy as np

from npdiff.backend import Array, namespace, per_sample, to_host
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers.step import Noise, Step, Steps
from npdiff.schedules import Schedule

#: Those of SciPy's methods that need no Jacobian.
METHODS = ("RK23", "RK45", "DOP853")


def adaptive_ode(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    method: str = "RK45",
    rtol: float = 1e-5,
    atol: float = 1e-5,
    noise: Noise | None = None,
) -> Steps:
    r"""The probability-flow ODE to a tolerance, which chooses the steps; N only says what to show.

    .. math::
        :label: flow-in-angle

        y = \frac{x_t}{\sqrt{\alpha_t^2 + \sigma_t^2}}, \quad
        \tan \phi = \frac{\sigma_t}{\alpha_t}
        \qquad\Rightarrow\qquad
        \frac{\mathrm d y}{\mathrm d \phi} = \cos\phi\; \hat\epsilon - \sin\phi\; \hat x_0

    In the angle the problem is bounded at both ends, pure noise being a right angle, and free of
    the schedule: a chain has no kinks there. The state is of unit size, and so the tolerances are
    in units of the data. The times only say where to report, by the solver's dense output: their
    number does not change the result. Where they end at 0 the integration stops at ``t_min`` of the
    schedule, and the sample is x0_hat at that time.

    The solver runs on the host, in float64. Its steps are chosen for the batch as a whole, so a
    sample depends on its neighbors, within the tolerance.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked as often as the tolerance demands, and once
        for every step that is reported
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    method : ``"RK45"``, ``"RK23"`` or ``"DOP853"``, as in :func:`scipy.integrate.solve_ivp`
    rtol, atol : of the local error, relative and absolute
    noise : accepted as by every sampler, and not used

    Yields
    ------
    Step

    Raises
    ------
    InputError
        If an option cannot be used, an estimate is not finite, or the tolerance cannot be met.

    Notes
    -----
    Song et al. 2021, section 4.3; in the angle Salimans and Ho 2022, appendix D.
    """
    from scipy import integrate

    if method not in METHODS:
        raise InputError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
    if not (0.0 < rtol < 1.0 and 0.0 < atol < 1.0):
        raise InputError(f"rtol and atol lie between 0 and 1, got {rtol} and {atol}")
    xp, shape, dtype = namespace(x), x.shape, x.dtype
    reached = float(timesteps[0])
    end = float(timesteps[-1]) or min(schedule.t_min, float(timesteps[-2]))
    bounds = schedule.log_snr(reached), schedule.log_snr(end)

    def time_of(angle: float) -> float:
        with np.errstate(divide="ignore"):  # a right angle has no signal
            log_snr = -2.0 * np.log(np.tan(angle)) if angle < 0.5 * math.pi else -np.inf
        return float(schedule.time_at(np.clip(log_snr, *bounds)))

    def placed(y: np.ndarray, t: float) -> Array:
        size = np.hypot(schedule.alpha(t), schedule.sigma(t))
        return xp.asarray((size * y).reshape(shape), dtype=dtype)

    def slope(angle: float, y: np.ndarray) -> np.ndarray:
        t = time_of(angle)
        x0_hat, eps_hat = denoise(placed(y, t), t)
        value = (
            to_host(math.cos(angle) * eps_hat - math.sin(angle) * x0_hat).astype(np.float64).ravel()
        )
        if not np.isfinite(value).all():
            raise InputError(f"the denoiser's answer at t = {t:g} is not finite")
        return value

    def angle_at(t: float) -> float:
        return math.atan2(float(schedule.sigma(t)), float(schedule.alpha(t)))

    size = np.hypot(schedule.alpha(reached), schedule.sigma(reached))
    y = to_host(per_sample(1.0 / size, x) * x).astype(np.float64).ravel()
    solver = getattr(integrate, method)(
        slope, angle_at(reached), y, angle_at(end), rtol=rtol, atol=atol
    )
    for s in timesteps[1:].tolist():
        x0_hat, _ = denoise(x, reached)
        target = max(s, end)
        angle = angle_at(target)
        while solver.t > angle:
            message = solver.step()
            if solver.status == "failed":
                raise InputError(f"the ODE could not be solved to rtol {rtol:g}: {message}")
        if target < reached:
            y = solver.y if solver.t == angle else solver.dense_output()(angle)
            x = placed(y, target)
        if s == 0.0:
            x = x0_hat if target == reached else denoise(x, target)[0]
        reached = s
        yield Step(s, x, x0_hat)
