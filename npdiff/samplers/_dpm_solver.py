r"""DPM-Solver: exponential integrators of the probability-flow ODE with noise prediction."""

from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.samplers.checks import check_among
from npdiff.samplers.exponential import NOISE_PREDICTION, half_log_snr, solver_prediction
from npdiff.samplers.multistep import multistep_solver
from npdiff.samplers.singlestep import intermediate_times, singlestep_update
from npdiff.samplers.step import Noise, Step, Steps, intervals
from npdiff.schedules import Schedule


def dpm_solver(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    order: int = 2,
    budget: bool = False,
    prediction: str = "eps",
    noise: Noise | None = None,
) -> Steps:
    r"""DPM-Solver-1, -2 and -3, the singlestep solvers.

    A step of order p evaluates the denoiser at its start and at p - 1 intermediate times that
    divide it evenly in half log-SNR. Order 1 is DDIM. A step to sigma = 0, which returns x0_hat, or
    from alpha = 0 has infinite length and is always of order 1.

    Evaluations: ``order`` per step.

    Parameters
    ----------
    order : 1, 2 or 3
    budget : use the N steps of the timesteps as a budget of N evaluations: a step of order p then
        covers p of them. With order 2 the last step is of order 1 if N is odd. With order 3 the
        last is of order N mod 3; if N is a multiple of 3 the last two are of orders 2 and 1, and
        that single step of order 1 limits the total order to 2. Public code makes all steps equally
        long in log-SNR, including that of order 1, which costs more accuracy
    prediction : the estimate to expand: ``"eps"``, or ``"x0"`` as in DPM-Solver++

    Raises
    ------
    InputError
        If the order or the prediction is unknown.

    Notes
    -----
    Lu et al. 2022 (DPM-Solver), section 3.2 and appendix; the budget is their "DPM-Solver-fast".
    """
    check_among("order", (1, 2, 3), order)
    expanded = solver_prediction(prediction)
    N = len(timesteps) - 1
    orders = budget_orders(N, order) if budget else [order] * N
    stops = np.cumsum([0, *orders]) if budget else np.arange(N + 1)
    timesteps = np.asarray(timesteps, dtype=np.float64)[stops]
    ells = half_log_snr(schedule, timesteps)
    inner_times = intermediate_times(schedule, ells, orders)
    steps = zip(intervals(timesteps), pairwise(ells), inner_times, strict=True)
    for (t, s), (ell_t, ell_s), inner in steps:
        x0_hat, eps_hat = denoise(x, t)
        h = ell_s - ell_t
        x = singlestep_update(expanded, denoise, schedule, x0_hat, eps_hat, inner, s, h)
        yield Step(s, x, x0_hat)


def budget_orders(evaluations: int, order: int) -> list[int]:
    r"""The orders of the steps, which sum to the number of evaluations.

    .. math::
        :label: budget-orders

        N = 3 + \dots + 3 + \begin{cases}
            2 + 1 & N \equiv 0 \pmod 3 \\
            1 & N \equiv 1 \\
            2 & N \equiv 2
        \end{cases}

    for order 3; for order 2 it is 2 + ... + 2, plus 1 if N is odd.

    Notes
    -----
    Lu et al. 2022 (DPM-Solver), appendix.

    >>> budget_orders(9, 3), budget_orders(8, 3), budget_orders(7, 3), budget_orders(5, 2)
    ([3, 3, 2, 1], [3, 3, 2], [3, 3, 1], [2, 2, 1])
    """
    whole, rest = divmod(evaluations, order)
    if order == 3 and rest == 0:
        return [*[3] * (whole - 1), 2, 1]
    return [*[order] * whole, *([rest] if rest else [])]


def dpm_solver_multistep(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    order: int = 2,
    midpoint: bool = True,
    start: str = "low",
    legacy: bool = False,
    noise: Noise | None = None,
) -> Steps:
    r"""DPM-Solver, multistep: the derivatives of eps_hat come from earlier steps.

    .. math::
        :label: dpm-solver-multistep

        x_s = \frac{\alpha_s}{\alpha_t} x_t - \sigma_s \left( e^h - 1 \right) \hat\epsilon_t
        - \sigma_s \left( e^h - 1 - h \right) \hat\epsilon'_t
        - \sigma_s \left( e^h - 1 - h - \tfrac12 h^2 \right) \hat\epsilon''_t

    up to the order, with :eq:`divided-differences` for the derivatives.
    :mod:`npdiff.samplers.multistep` explains the option ``start``. Steps to sigma = 0 and from
    alpha = 0 are of order 1.

    Evaluations: one per step.

    Parameters
    ----------
    order : 1, 2 or 3
    midpoint : with order 2, integrate the derivative by :eq:`midpoint-rule`, as published; else
        exactly
    start : ``"low"``, with lower orders, as published: order 3 is then reached only from nearly
        pure noise; or ``"singlestep"``: order 3 starts with a step of order 2, of two evaluations
    legacy : with order 3, reproduce the error of public code, which omits the factor 2 of the
        second derivative and is of order 2

    Raises
    ------
    InputError
        If the order or the start is unknown.

    Notes
    -----
    Lu et al. 2022 (DPM-Solver++), appendix, applied to eps_hat.
    """
    yield from multistep_solver(
        denoise, schedule, x, timesteps, NOISE_PREDICTION,
        order=order, midpoint=midpoint, start=start, legacy=legacy,
    )  # fmt: skip
