r"""DEIS: the noise extrapolated by a polynomial, and the polynomial integrated exactly."""

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers.exponential import (
    NOISE_PREDICTION,
    first_order,
    half_log_snr,
    order_among,
    phi,
)
from npdiff.samplers.multistep import History, remembered, starting_times
from npdiff.samplers.singlestep import singlestep
from npdiff.samplers.step import Noise, Step, Steps
from npdiff.schedules import Schedule

VARIABLES = ("t", "rho", "log-rho")

#: Gauss's nodes on (-1, 1) and their weights.
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
    r"""DEIS, the Adams-Bashforth methods.

    In :math:`\rho = \sigma / \alpha` the probability-flow ODE is

    .. math::
        :label: deis-solution

        \frac{x_s}{\alpha_s} = \frac{x_t}{\alpha_t}
        + \int_{\rho_t}^{\rho_s} \hat\epsilon \,\mathrm d \rho

    The noise under the integral is a polynomial through the last ``order`` estimates in one of

    - ``"t"``, time itself: the paper's tAB-DEIS. Its integral has no closed form for an arbitrary
      schedule and is found by Gauss's quadrature: to rounding for a smooth schedule, less exactly
      for a chain, which has kinks at its rows;
    - ``"rho"``: the paper's rhoAB-DEIS, in closed form; the linear multistep method of EDM's ODE;
    - ``"log-rho"``: the same as :func:`npdiff.samplers._dpm_solver.dpm_solver_multistep` without the
      midpoint rule, in closed form by :eq:`phi-functions`.

    .. math::
        :label: deis-step

        x_s = \alpha_s \hat x_0 + \sigma_s \hat\epsilon_t
        + \alpha_s \sum_{k \ge 1} C_k \left( \hat\epsilon_k - \hat\epsilon_t \right)

    How it starts is an option (:mod:`npdiff.samplers.multistep`). Steps to sigma = 0, which return
    x0_hat, and from alpha = 0 are of order 1.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked once a step
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    order : 1 (DDIM), 2 or 3: one more than the degree of the polynomial
    variable : what it is a polynomial in
    start : ``"low"``, with lower orders: order 3 is then seen from nearly pure noise only; or
        ``"singlestep"``, with order 3 by a step of order 2 of DPM-Solver, which asks twice
    noise : accepted as by every sampler, and not used

    Yields
    ------
    Step

    Raises
    ------
    InputError
        If the order, the variable or the start is none of these.

    Notes
    -----
    Zhang and Chen 2023, section 3.
    """
    order_among((1, 2, 3), order)
    if variable not in VARIABLES:
        raise InputError(f"unknown variable {variable!r}: choose one of {', '.join(VARIABLES)}")
    halves = half_log_snr(schedule, timesteps)
    inner = starting_times(schedule, halves, start, order - 1)
    history: History = []
    for (t, s), (a, b) in zip(pairwise(timesteps), pairwise(halves), strict=True):
        x0_hat, eps_hat = denoise(x, t)
        place = {"t": float(t), "rho": float(np.exp(-a)), "log-rho": -a}[variable]
        history = remembered(history, place, eps_hat, order)
        x = first_order(schedule, x0_hat, eps_hat, s)
        if inner:
            x, inner = (
                singlestep(NOISE_PREDICTION, denoise, schedule, x0_hat, eps_hat, inner, s, b - a),
                [],
            )
        elif isfinite(b - a) and len(history) > 1:
            nodes = [node for node, _ in history]
            C = lagrange_integrals(nodes, moments(schedule, variable, t, s, len(nodes)))
            for c, (_, earlier) in zip(C[1:], history[1:], strict=True):
                x = x + (float(schedule.alpha(s)) * c) * (earlier - eps_hat)
        yield Step(float(s), x, x0_hat)


def moments(schedule: Schedule, variable: str, t: float, s: float, count: int) -> list[float]:
    r"""The integrals of powers of the variable, from the step's start, that DEIS is made of.

    .. math::
        :label: deis-moments

        M_n = \int_{\rho_t}^{\rho_s} \left( v - v_t \right)^n \mathrm d \rho,
        \qquad v \in \{ t,\; \rho,\; \log \rho \}
    """
    rho_t, rho_s = (float(np.exp(-0.5 * schedule.log_snr(u))) for u in (t, s))
    if variable == "rho":
        return [(rho_s - rho_t) ** (n + 1) / (n + 1) for n in range(count)]
    if variable == "log-rho":
        h = 0.5 * float(schedule.log_snr(s) - schedule.log_snr(t))
        factorials = np.cumprod([1, *range(1, count)])
        return [
            -rho_s * (-1.0) ** n * float(factorials[n]) * h ** (n + 1) * phi(n + 1, h)
            for n in range(count)
        ]
    # by parts: no derivative of rho is needed, which is infinite at the data
    u = 0.5 * (_NODES + 1.0) * (s - t)
    rho = np.exp(-0.5 * schedule.log_snr(t + u))
    inner = [0.5 * (s - t) * float(_WEIGHTS @ (n * u ** (n - 1) * rho)) for n in range(1, count)]
    ends = [(s - t) ** n * rho_s for n in range(1, count)]
    return [rho_s - rho_t, *(end - part for end, part in zip(ends, inner, strict=True))]


def lagrange_integrals(nodes: Sequence[float], moments: Sequence[float]) -> list[float]:
    r"""The integrals of the Lagrange polynomials of the nodes, whose first is the step's start.

    .. math::
        :label: deis-coefficients

        C_k = \int_{\rho_t}^{\rho_s} \prod_{j \ne k} \frac{v - v_j}{v_k - v_j} \,\mathrm d \rho,
        \qquad\text{which solve}\qquad
        \sum_k \left( v_k - v_t \right)^n C_k = M_n

    Parameters
    ----------
    nodes : v_t, v_1, ..., as many as there are moments
    moments : of :eq:`deis-moments`

    Returns
    -------
    list of floats, one for each node

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
