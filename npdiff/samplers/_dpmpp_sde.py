r"""SDE-DPM-Solver++: exponential integrators of the reverse SDE."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers.checks import check_among
from npdiff.samplers.exponential import first_order, half_log_snr
from npdiff.samplers.multistep import History, extend_history, raise_order
from npdiff.samplers.step import Noise, Step, Steps, draw, intervals
from npdiff.schedules import Schedule


def dpmpp_sde(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    order: int = 2,
    eta: float = 1.0,
    midpoint: bool = True,
    legacy: bool = False,
    noise: Noise | None = None,
) -> Steps:
    r"""SDE-DPM-Solver++, multistep.

    The processes with the marginals of the forward one and eta times the noise of the reverse SDE,

    .. math::
        :label: reverse-sde-eta

        \mathrm d x = \left[ f(t)\, x
        - \frac{1 + \eta}{2}\, g(t)^2\, \nabla \log q_t(x) \right] \mathrm d t
        + \sqrt{\eta}\; g(t)\, \mathrm d \bar w

    are solved exactly up to an integral of x0_hat:

    .. math::
        :label: exponential-sde

        x_s = \frac{\sigma_s}{\sigma_t} e^{-\eta h} x_t
        + (1 + \eta)\, \alpha_s \int_{\ell_t}^{\ell_s}
        e^{-(1 + \eta)(\ell_s - \ell)}\, \hat x_{0, \ell} \,\mathrm d \ell
        + \sigma_s \sqrt{1 - e^{-2 \eta h}}\; z

    With x0_hat constant over the step this is a DDIM step with eps_hat mixed with fresh noise; at
    eta = 1 it is ancestral sampling with the small variance:

    .. math::
        :label: dpmpp-sde-1

        x_s = \alpha_s \hat x_0
        + \sigma_s \left( e^{-\eta h}\, \hat\epsilon + \sqrt{1 - e^{-2 \eta h}}\; z \right)

    With its derivative from the previous step, :eq:`divided-differences`, it is 2M SDE:

    .. math::
        :label: dpmpp-2m-sde

        x_s = \frac{\sigma_s}{\sigma_t} e^{-\eta h} x_t
        + \alpha_s \left( 1 - e^{-(1 + \eta) h} \right)
        \left( \hat x_0 + \tfrac12 h\, \hat x_0' \right)
        + \sigma_s \sqrt{1 - e^{-2 \eta h}}\; z

    At eta = 0 it is :func:`npdiff.samplers.dpmpp.dpmpp_multistep`. With noise the distribution of
    the samples converges: on Gaussian data its variance does so with order 1 for order 1, and with
    order 2 for orders 2 and 3.

    A step to sigma = 0 returns x0_hat; one from alpha = 0 is of order 1, with only fresh noise if
    eta > 0.

    Evaluations: one per step.

    Parameters
    ----------
    order : 1, 2 or 3
    eta : 0 or more; 0 needs no noise, 1 is the reverse SDE. DDIM's eta agrees only at 0 and 1
    midpoint : with order 2, integrate the derivative by :eq:`midpoint-rule`, as published; else
        exactly
    legacy : with order 3, reproduce the error of public code, which omits the factor 2 of the
        second derivative

    Raises
    ------
    InputError
        If the order is unknown, or eta is negative.

    Notes
    -----
    Lu et al. 2022 (DPM-Solver++), section 5 and appendix, for eta = 1.
    """
    check_among("order", (1, 2, 3), order)
    if not 0.0 <= eta < math.inf:
        raise InputError(f"eta must be 0 (deterministic) or more (1 is the reverse SDE), got {eta}")
    ells = half_log_snr(schedule, timesteps)
    history: History = []
    steps = zip(intervals(timesteps), pairwise(ells), strict=True)
    for i, ((t, s), (ell_t, ell_s)) in enumerate(steps):
        x0_hat, eps_hat = denoise(x, t)
        history = extend_history(history, ell_t, x0_hat, order)
        h = ell_s - ell_t
        if eta > 0.0 and schedule.sigma(s) > 0.0:
            fresh = math.sqrt(-math.expm1(-2.0 * eta * h))
            eps_hat = math.exp(-eta * h) * eps_hat + fresh * draw(noise, i, x)
        x = first_order(schedule, x0_hat, eps_hat, s)
        if math.isfinite(h):
            alpha_s, z, half = schedule.alpha(s), -(1.0 + eta) * h, midpoint and order == 2
            x = raise_order(x, alpha_s, z, h, history, midpoint=half, legacy=legacy)
        yield Step(s, x, x0_hat)
