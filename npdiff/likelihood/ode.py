r"""The log-density of data under the probability-flow ODE, by the change of variables formula.

The ODE :eq:`probability-flow` is solved in coordinates in which it is regular at both ends, for
every schedule. With :math:`\tan \phi = \sigma / \alpha` and :math:`\rho^2 = \alpha^2 + \sigma^2`,

.. math::
    :label: likelihood-flow

    y = \frac{x_t}{\rho_t},
    \qquad
    \tau = \log \tan \frac{\phi_t}{2} = -\operatorname{arsinh} e^{\lambda_t / 2},
    \qquad
    \frac{\mathrm d y}{\mathrm d \tau} = \cos \phi\; y - \hat x_0

Near the data tau is about -lambda / 2 - log 2. Without any signal tau is 0, and the equation is
regular there too.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from npdiff.backend import Array, namespace, to_host
from npdiff.errors import InputError
from npdiff.likelihood._trace import Linearize, trace
from npdiff.objective.bound import prior_variance
from npdiff.schedules import Schedule


class FlowState(NamedTuple):
    """The state of the ODE solver after a step.

    Attributes
    ----------
    t : the time
    x : the state at t
    log_density : (N,) array, nats: the log-density of the data if the prior held at this state.
        After the last step, at t_max, it is the result
    """

    t: float
    x: Array
    log_density: Array


def flow_log_density(
    linearize: Linearize,
    schedule: Schedule,
    x: Array,
    *,
    steps: int = 32,
    probes: Sequence[Array] | None = None,
) -> Iterator[FlowState]:
    r"""The log-density of data under the probability-flow ODE.

    .. math::
        :label: change-of-variables

        \log p_{t_0}(x_{t_0}) = \log p_T(x_T) + D \log \frac{\rho_T}{\rho_{t_0}}
        + \int_{\tau_0}^{\tau_T} \left( D \cos \phi
        - \rho \operatorname{tr} \frac{\partial \hat x_0}{\partial x} \right) \mathrm d \tau

    Solved by the classical fourth-order Runge-Kutta method in even steps of tau, with four calls of
    ``linearize`` each, from t_min, the first time with noise. The initial state is alpha x, without
    noise; the result is the density of x under the model that ends at t_min.

    Parameters
    ----------
    linearize : from (x, t) to x0_hat and its Jacobian:
        :func:`~npdiff.likelihood.linearize_by_pullback` and others
    schedule : Schedule
    x : (N, ...) array of data
    steps : of the solver
    probes : for :func:`~npdiff.likelihood.trace`, the same at every step; None computes the trace
        exactly

    Yields
    ------
    FlowState

    Raises
    ------
    InputError
        If ``steps`` is below 1.

    Notes
    -----
    Chen et al. 2018, section 4; Song et al. 2021, section 4.3 and appendix D.2.
    """
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    return _solution(linearize, schedule, x, steps, probes)


def _solution(
    linearize: Linearize,
    schedule: Schedule,
    x: Array,
    steps: int,
    probes: Sequence[Array] | None,
) -> Iterator[FlowState]:
    start, end = tau_of(schedule, schedule.t_min), tau_of(schedule, schedule.t_max)
    nodes = np.linspace(start, end, 2 * steps + 1)
    timesteps = [schedule.t_min, *time_of(schedule, nodes[1:-1]).tolist(), schedule.t_max]
    h = (end - start) / steps
    alpha, sigma = float(schedule.alpha(schedule.t_min)), float(schedule.sigma(schedule.t_min))
    D = int(np.prod(x.shape[1:]))
    to_data = D * (math.log(alpha) - math.log(math.hypot(alpha, sigma)))
    y = x * (alpha / math.hypot(alpha, sigma))
    volume = namespace(x).zeros(x.shape[0], dtype=x.dtype)

    def slope(y: Array, i: int) -> tuple[Array, Array]:
        return flow_derivative(linearize, schedule, y, timesteps[i], probes)

    for k in range(steps):
        i = 2 * k
        y_1, v_1 = slope(y, i)
        y_2, v_2 = slope(y + 0.5 * h * y_1, i + 1)
        y_3, v_3 = slope(y + 0.5 * h * y_2, i + 1)
        y_4, v_4 = slope(y + h * y_3, i + 2)
        y = y + h / 6.0 * (y_1 + 2.0 * (y_2 + y_3) + y_4)
        volume = volume + h / 6.0 * (v_1 + 2.0 * (v_2 + v_3) + v_4)
        t = timesteps[i + 2]
        rho = math.hypot(float(schedule.alpha(t)), float(schedule.sigma(t)))
        density = log_prior(schedule, rho * y) + D * math.log(rho) + volume + to_data
        yield FlowState(t, rho * y, density)


def flow_derivative(
    linearize: Linearize,
    schedule: Schedule,
    y: Array,
    t: float,
    probes: Sequence[Array] | None = None,
) -> tuple[Array, Array]:
    """The right-hand side of :eq:`likelihood-flow` and its divergence, (N,)."""
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    rho = math.hypot(alpha, sigma)
    cosine, D = alpha / rho, int(np.prod(y.shape[1:]))
    x_0, jacobian = linearize(rho * y, t)
    return cosine * y - x_0, D * cosine - rho * trace(jacobian, y, probes)


def adaptive_log_density(
    linearize: Linearize,
    schedule: Schedule,
    x: Array,
    *,
    tolerance: float = 1e-5,
    probes: Sequence[Array] | None = None,
    method: str = "RK45",
) -> tuple[Array, int]:
    """The log-density of :func:`flow_log_density` by an adaptive solver of SciPy, on the host.

    Parameters
    ----------
    linearize, schedule, x, probes : as for :func:`flow_log_density`
    tolerance : relative and absolute, for every entry of the state
    method : of ``scipy.integrate.solve_ivp``

    Returns
    -------
    log_density : (N,) array, nats
    calls : the number of calls of ``linearize``

    Raises
    ------
    InputError
        If the tolerance is not between 0 and 1, or the solver fails.

    Notes
    -----
    Song et al. 2021, appendix D.2, with RK45 and a tolerance of 1e-5.
    """
    from scipy.integrate import solve_ivp

    if not 0.0 < tolerance < 1.0:
        raise InputError(f"tolerance must be between 0 and 1, got {tolerance}")
    xp, shape, N = namespace(x), x.shape, x.shape[0]
    D = int(np.prod(shape[1:]))
    t_0, T = schedule.t_min, schedule.t_max
    alpha, sigma = float(schedule.alpha(t_0)), float(schedule.sigma(t_0))

    def slope(tau: float, state: np.ndarray) -> np.ndarray:
        t = float(np.clip(time_of(schedule, np.array(tau)), t_0, T))
        y = xp.asarray(state[:-N].reshape(shape), dtype=x.dtype)
        parts = flow_derivative(linearize, schedule, y, t, probes)
        return np.concatenate([to_host(part).ravel() for part in parts])

    y = to_host(x).astype(np.float64) * (alpha / math.hypot(alpha, sigma))
    solved = solve_ivp(
        slope,
        (tau_of(schedule, t_0), tau_of(schedule, T)),
        np.concatenate([y.ravel(), np.zeros(N)]),
        method=method,
        rtol=tolerance,
        atol=tolerance,
    )
    if not solved.success:
        raise InputError(
            f"the ODE solver failed ({solved.message}): try another method or tolerance"
        )
    last, rho = solved.y[:, -1], math.hypot(float(schedule.alpha(T)), float(schedule.sigma(T)))
    scales = math.log(alpha) - math.log(math.hypot(alpha, sigma)) + math.log(rho)
    density = log_prior(schedule, rho * last[:-N].reshape(shape)) + last[-N:] + D * scales
    return xp.asarray(density), int(solved.nfev)


def log_prior(schedule: Schedule, x: Array) -> Array:
    """The log-density of the prior of sampling, N(0, pi^2 I) as in :eq:`bound-prior`; (N,)."""
    variance = prior_variance(schedule)
    rows = x.reshape(x.shape[0], -1)
    constant = rows.shape[1] * math.log(2.0 * math.pi * variance)
    return -0.5 * ((rows * rows).sum(axis=1) / variance + constant)


def tau_of(schedule: Schedule, t: float) -> float:
    """The tau of :eq:`likelihood-flow` at time t."""
    return -math.asinh(math.exp(0.5 * float(schedule.log_snr(t))))


def time_of(schedule: Schedule, tau: np.ndarray) -> np.ndarray:
    """The time t with a given tau: the inverse of :func:`tau_of`."""
    with np.errstate(divide="ignore"):
        log_snr = 2.0 * np.log(np.sinh(-np.minimum(tau, 0.0)))
    return schedule.time_at(
        np.clip(log_snr, schedule.log_snr(schedule.t_max), schedule.log_snr(0.0))
    )
