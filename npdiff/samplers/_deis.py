r"""DEIS: eps_hat extrapolated by a polynomial that is integrated exactly."""

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.samplers.checks import check_among
from npdiff.samplers.exponential import NOISE_PREDICTION, first_order, half_log_snr, phi
from npdiff.samplers.multistep import History, extend_history, starting_times
from npdiff.samplers.singlestep import singlestep_update
from npdiff.samplers.step import Noise, Step, Steps, intervals
from npdiff.schedules import Schedule

VARIABLES = ("t", "rho", "log-rho")

#: Gauss-Legendre nodes on (-1, 1) and their weights.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)


def deis(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    order: int = 3,
    variable: str = "t",
    start: str = "low",
    noise: Noise | None = None,
) -> Steps:
    r"""DEIS with Adams-Bashforth extrapolation (AB-DEIS).

    In :math:`\rho = \sigma / \alpha` the probability-flow ODE is

    .. math::
        :label: deis-solution

        \frac{x_s}{\alpha_s} = \frac{x_t}{\alpha_t}
        + \int_{\rho_t}^{\rho_s} \hat\epsilon \,\mathrm d \rho

    eps_hat in the integral is replaced by the polynomial through the last ``order`` estimates, in

    - ``"t"``, time: the paper's tAB-DEIS. Its integral has no closed form for a general schedule
      and is computed by Gauss-Legendre quadrature: to rounding for a smooth schedule, less
      accurately for a discrete one, which has kinks at whole times;
    - ``"rho"``: the paper's rhoAB-DEIS, in closed form; the linear multistep method for EDM's ODE;
    - ``"log-rho"``: equal to :func:`~npdiff.samplers.dpm_solver_multistep` without the midpoint
      rule, in closed form by :eq:`phi-functions`.

    .. math::
        :label: deis-step

        x_s = \alpha_s \hat x_0 + \sigma_s \hat\epsilon_t
        + \alpha_s \sum_{k \ge 1} C_k \left( \hat\epsilon_k - \hat\epsilon_t \right)

    :mod:`npdiff.samplers.multistep` explains the option ``start``. Steps to sigma = 0, which return
    x0_hat, and from alpha = 0 are of order 1.

    Evaluations: one per step.

    Parameters
    ----------
    order : 1 (DDIM), 2 or 3: one more than the degree of the polynomial
    variable : the variable of the polynomial
    start : ``"low"``, with lower orders: order 3 is then reached only from nearly pure noise; or
        ``"singlestep"``: order 3 starts with a DPM-Solver step of order 2, of two evaluations

    Raises
    ------
    InputError
        If the order, the variable or the start is unknown.

    Notes
    -----
    Zhang and Chen 2023, section 3.
    """
    check_among("order", (1, 2, 3), order)
    check_among("variable", VARIABLES, variable)
    ells = half_log_snr(schedule, timesteps)
    inner = starting_times(schedule, ells, start, order - 1)
    history: History = []
    for (t, s), (ell_t, ell_s) in zip(intervals(timesteps), pairwise(ells), strict=True):
        x0_hat, eps_hat = denoise(x, t)
        node = {"t": t, "rho": float(np.exp(-ell_t)), "log-rho": -ell_t}[variable]
        history = extend_history(history, node, eps_hat, order)
        h = ell_s - ell_t
        x = first_order(schedule, x0_hat, eps_hat, s)
        if inner:
            x = singlestep_update(NOISE_PREDICTION, denoise, schedule, x0_hat, eps_hat, inner, s, h)
            inner = []
        elif isfinite(h) and len(history) > 1:
            nodes = [node for node, _ in history]
            C = lagrange_integrals(nodes, moments(schedule, variable, t, s, len(nodes)))
            for c, (_, earlier) in zip(C[1:], history[1:], strict=True):
                x = x + (schedule.alpha(s) * c) * (earlier - eps_hat)
        yield Step(s, x, x0_hat)


def moments(schedule: Schedule, variable: str, t: float, s: float, count: int) -> list[float]:
    r"""The integrals over a step of the powers of the variable, counted from the step's start.

    .. math::
        :label: deis-moments

        M_n = \int_{\rho_t}^{\rho_s} \left( v - v_t \right)^n \mathrm d \rho,
        \qquad v \in \{ t,\; \rho,\; \log \rho \}
    """
    rho_t, rho_s = (float(np.exp(-0.5 * schedule.log_snr(u))) for u in (t, s))
    if variable == "rho":
        return [(rho_s - rho_t) ** (n + 1) / (n + 1) for n in range(count)]
    if variable == "log-rho":
        h = 0.5 * (schedule.log_snr(s) - schedule.log_snr(t))
        factorials = np.cumprod([1, *range(1, count)])
        return [
            -rho_s * (-1.0) ** n * float(factorials[n]) * h ** (n + 1) * phi(n + 1, h)
            for n in range(count)
        ]
    # integrated by parts, to avoid the derivative of rho, which is infinite at the data
    u = 0.5 * (_NODES + 1.0) * (s - t)
    rho = np.exp(-0.5 * schedule.log_snr(t + u))
    inner = [0.5 * (s - t) * float(_WEIGHTS @ (n * u ** (n - 1) * rho)) for n in range(1, count)]
    ends = [(s - t) ** n * rho_s for n in range(1, count)]
    return [rho_s - rho_t, *(end - part for end, part in zip(ends, inner, strict=True))]


def lagrange_integrals(nodes: Sequence[float], moments: Sequence[float]) -> list[float]:
    r"""The integrals over a step of the Lagrange polynomials of the nodes; the first is its start.

    .. math::
        :label: deis-coefficients

        C_k = \int_{\rho_t}^{\rho_s} \prod_{j \ne k} \frac{v - v_j}{v_k - v_j} \,\mathrm d \rho,
        \qquad\text{which solve}\qquad
        \sum_k \left( v_k - v_t \right)^n C_k = M_n

    Parameters
    ----------
    nodes : v_t, v_1, ..., as many as there are moments
    moments : M_0, M_1, ... of :eq:`deis-moments`

    Returns
    -------
    list of floats, one per node

    Notes
    -----
    Zhang and Chen 2023, section 3.
    """
    unit = max(abs(node - nodes[0]) for node in nodes)
    v = np.array([(node - nodes[0]) / unit for node in nodes])
    powers = np.arange(len(nodes))
    return [
        float(C) for C in np.linalg.solve(v[None, :] ** powers[:, None], moments / unit**powers)
    ]
