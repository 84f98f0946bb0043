"""SciPy's adaptive Runge-Kutta methods on the probability-flow ODE."""

import math

import numpy as np

from npdiff.backend import Array, namespace, to_host
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers.checks import check_among
from npdiff.samplers.step import Noise, Step, Steps
from npdiff.schedules import Schedule

#: SciPy's methods that need no Jacobian.
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
    r"""SciPy's adaptive solvers of the probability-flow ODE, to a given tolerance.

    .. math::
        :label: flow-in-angle

        y = \frac{x_t}{\sqrt{\alpha_t^2 + \sigma_t^2}}, \quad
        \tan \phi = \frac{\sigma_t}{\alpha_t}
        \qquad\Rightarrow\qquad
        \frac{\mathrm d y}{\mathrm d \phi} = \cos\phi\; \hat\epsilon - \sin\phi\; \hat x_0

    In the angle phi the problem is bounded at both ends, with pure noise at a right angle, and does
    not depend on the schedule: a discrete one has no kinks. The state has unit scale, so tolerances
    are in units of the data. The timesteps only set the times of the yielded steps, which are
    interpolated by the solver's dense output; they do not change the result. If they end at 0 the
    integration stops at the schedule's ``t_min``, and the sample is x0_hat at that time.

    The solver runs on the host, in float64. Its steps are chosen for the whole batch, so a sample
    depends on the others, within the tolerance.

    Evaluations: as many as the tolerance needs, and one per yielded step.

    Parameters
    ----------
    method : ``"RK45"``, ``"RK23"`` or ``"DOP853"``, as in :func:`scipy.integrate.solve_ivp`
    rtol, atol : relative and absolute tolerance of the local error

    Raises
    ------
    InputError
        If an option is out of range, an estimate is not finite, or the tolerance cannot be met.

    Notes
    -----
    Song et al. 2021, section 4.3; in the angle Salimans and Ho 2022, appendix D.
    """
    from scipy import integrate

    check_among("method", METHODS, method)
    if not (0.0 < rtol < 1.0 and 0.0 < atol < 1.0):
        raise InputError(f"rtol and atol must lie strictly between 0 and 1, got {rtol} and {atol}")
    xp, shape, dtype = namespace(x), x.shape, x.dtype
    times = np.asarray(timesteps, dtype=np.float64).tolist()
    reached = times[0]
    end = times[-1] or min(schedule.t_min, times[-2])
    bounds = schedule.log_snr(reached), schedule.log_snr(end)

    def time_at_angle(angle: float) -> float:
        with np.errstate(divide="ignore"):  # a right angle has no signal
            log_snr = -2.0 * np.log(np.tan(angle)) if angle < 0.5 * math.pi else -np.inf
        return schedule.time_at(np.clip(log_snr, *bounds))

    def scale_at(t: float) -> float:
        return float(np.hypot(schedule.alpha(t), schedule.sigma(t)))

    def state(y: np.ndarray, t: float) -> Array:
        return xp.asarray((scale_at(t) * y).reshape(shape), dtype=dtype)

    def slope(angle: float, y: np.ndarray) -> np.ndarray:
        t = time_at_angle(angle)
        x0_hat, eps_hat = denoise(state(y, t), t)
        dy_dphi = to_host(math.cos(angle) * eps_hat - math.sin(angle) * x0_hat)
        if not np.isfinite(dy_dphi).all():
            raise InputError(
                f"the denoiser's estimates at t = {t:g} are not finite: check the denoiser there"
            )
        return dy_dphi.astype(np.float64).ravel()

    def angle_at(t: float) -> float:
        return math.atan2(schedule.sigma(t), schedule.alpha(t))

    y = to_host((1.0 / scale_at(reached)) * x).astype(np.float64).ravel()
    solver = getattr(integrate, method)(
        slope, angle_at(reached), y, angle_at(end), rtol=rtol, atol=atol
    )
    for s in times[1:]:
        x0_hat, _ = denoise(x, reached)
        target = max(s, end)
        angle = angle_at(target)
        while solver.t > angle:
            message = solver.step()
            if solver.status == "failed":
                raise InputError(
                    f"the ODE could not be solved to rtol {rtol:g}, atol {atol:g} ({message}): "
                    "use larger tolerances"
                )
        if target < reached:
            y = solver.y if solver.t == angle else solver.dense_output()(angle)
            x = state(y, target)
        if s == 0.0:
            x = x0_hat if target == reached else denoise(x, target)[0]
        reached = s
        yield Step(s, x, x0_hat)
