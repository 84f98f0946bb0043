r"""DPM-Solver: exponential integrators of the probability-flow ODE.

What is taken for smooth is the estimate of the noise.
"""

from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.samplers.exponential import (
    NOISE_PREDICTION,
    half_log_snr,
    order_among,
    solver_prediction,
)
from npdiff.samplers.multistep import multistep
from npdiff.samplers.singlestep import intermediate_times, singlestep
from npdiff.samplers.step import Noise, Step, Steps
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

    A step of order p asks the denoiser p times: at its start and at p - 1 times in between, that
    divide it evenly in half log-SNR. Order 1 is DDIM. A step to sigma = 0 or from alpha = 0, which
    is of infinite length, is of order 1 whatever the order asked for; to sigma = 0 it returns
    x0_hat.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked ``order`` times a step
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    order : 1, 2 or 3
    budget : take the grid's N steps for the number of times that the denoiser may be asked: a step
        of order p then covers p steps of the grid. With order 2 the last step is of order 1 where N
        is odd. With order 3 the last is of order N mod 3; where N is a multiple of 3 the last two
        are of orders 2 and 1, and that single step of order 1 makes the whole of order 2 in the
        end. Public code makes all steps equally long in log-SNR, that of order 1 included, and
        loses more by it
    prediction : what is taken for smooth, ``"eps_hat"``; or ``"x0"``, as DPM-Solver++ does
    noise : accepted as by every sampler, and not used

    Yields
    ------
    Step
        Its ``x0_hat`` is the estimate at the start of the step.

    Raises
    ------
    InputError
        If the order or the form is none of these.

    Notes
    -----
    Lu et al. 2022 (DPM-Solver), section 3.2 and appendix; the budget is their "DPM-Solver-fast".
    """
    order_among((1, 2, 3), order)
    smooth = solver_prediction(prediction)
    N = len(timesteps) - 1
    orders = budget_orders(N, order) if budget else [order] * N
    stops = np.cumsum([0, *orders]) if budget else np.arange(N + 1)
    timesteps = np.asarray(timesteps, dtype=np.float64)[stops]
    places = half_log_snr(schedule, timesteps)
    between = intermediate_times(schedule, places, orders)
    steps = zip(pairwise(timesteps), pairwise(places), between, strict=True)
    for (t, s), (place, place_s), inner in steps:
        x0_hat, eps_hat = denoise(x, t)
        x = singlestep(smooth, denoise, schedule, x0_hat, eps_hat, inner, s, place_s - place)
        yield Step(float(s), x, x0_hat)


def budget_orders(evaluations: int, order: int) -> list[int]:
    r"""The orders of the steps that add up to a number of evaluations.

    .. math::
        :label: budget-orders

        N = 3 + \dots + 3 + \begin{cases}
            2 + 1 & N \equiv 0 \pmod 3 \\
            1 & N \equiv 1 \\
            2 & N \equiv 2
        \end{cases}

    for order 3; for order 2 it is 2 + ... + 2, and 1 where N is odd.

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
    r"""DPM-Solver, multistep: the derivatives of the noise come from earlier steps.

    .. math::
        :label: dpm-solver-multistep

        x_s = \frac{\alpha_s}{\alpha_t} x_t - \sigma_s \left( e^h - 1 \right) \hat\epsilon_t
        - \sigma_s \left( e^h - 1 - h \right) \hat\epsilon'_t
        - \sigma_s \left( e^h - 1 - h - \tfrac12 h^2 \right) \hat\epsilon''_t

    as far as the order goes, with :eq:`divided-differences` for the derivatives. It starts with
    lower orders, so that order 3 is seen from nearly pure noise only
    (:mod:`npdiff.samplers.multistep`); steps to sigma = 0 and from alpha = 0 are of order 1.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked once a step
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    order : 1, 2 or 3
    midpoint : with order 2, integrate the slope by :eq:`midpoint-rule`, as published; else exactly
    start : ``"low"``, with lower orders, as published: order 3 is then seen from nearly pure noise
        only; or ``"singlestep"``, with order 3 by a step of order 2, which asks twice
    legacy : with order 3, leave out the factor 2 of the second derivative, as public code does:
        of order 2 then
    noise : accepted as by every sampler, and not used

    Yields
    ------
    Step

    Raises
    ------
    InputError
        If the order or the start is none of these.

    Notes
    -----
    Lu et al. 2022 (DPM-Solver++), appendix, taken in the noise.
    """
    yield from multistep(
        denoise, schedule, x, timesteps, NOISE_PREDICTION,
        order=order, midpoint=midpoint, start=start, legacy=legacy,
    )  # fmt: skip
