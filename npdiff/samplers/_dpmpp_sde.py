r"""DPM-Solver++ for diffusion SDEs: exponential integrators of the reverse process, with noise."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers.exponential import DATA_PREDICTION, first_order, half_log_snr, order_among
from npdiff.samplers.multistep import History, extrapolated, remembered
from npdiff.samplers.step import Noise, Step, Steps, draw
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

    are solved exactly but for an integral of the estimate of the data:

    .. math::
        :label: exponential-sde

        x_s = \frac{\sigma_s}{\sigma_t} e^{-\eta h} x_t
        + (1 + \eta)\, \alpha_s \int_{\ell_t}^{\ell_s}
        e^{-(1 + \eta)(\ell_s - \ell)}\, \hat x_{0, \ell} \,\mathrm d \ell
        + \sigma_s \sqrt{1 - e^{-2 \eta h}}\; z

    With x0_hat constant over the step this is a step of DDIM's family, the estimated noise being
    mixed with fresh noise; at eta = 1 it is ancestral sampling with the small variance:

    .. math::
        :label: dpmpp-sde-1

        x_s = \alpha_s \hat x_0
        + \sigma_s \left( e^{-\eta h}\, \hat\epsilon + \sqrt{1 - e^{-2 \eta h}}\; z \right)

    With its slope from the step before, :eq:`divided-differences`, it is 2M SDE:

    .. math::
        :label: dpmpp-2m-sde

        x_s = \frac{\sigma_s}{\sigma_t} e^{-\eta h} x_t
        + \alpha_s \left( 1 - e^{-(1 + \eta) h} \right)
        \left( \hat x_0 + \tfrac12 h\, \hat x_0' \right)
        + \sigma_s \sqrt{1 - e^{-2 \eta h}}\; z

    At eta = 0 it is :func:`npdiff.samplers.dpmpp.dpmpp_multistep`. With noise it is the law of the
    samples that converges: on Gaussian data, where that law is known, the variance does so with
    order 1 for order 1, and with order 2 for orders 2 and 3.

    A step to sigma = 0 returns x0_hat; one from alpha = 0 is of order 1, and for eta > 0 all of
    its noise is fresh.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat); asked once a step
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``
    timesteps : descending host array
    order : 1, 2 or 3
    eta : 0 or more; 1 is the reverse SDE. It is not DDIM's eta: the two agree at 0 and 1 alone
    midpoint : with order 2, integrate the slope by :eq:`midpoint-rule`, as published; else exactly
    legacy : with order 3, leave out the factor 2 of the second derivative, as public code does
    noise : from the index of a step to standard normal noise, one draw a step; unused at eta = 0

    Yields
    ------
    Step

    Raises
    ------
    InputError
        If the order is none of these, eta is negative, or it is positive and there is no noise.

    Notes
    -----
    Lu et al. 2022 (DPM-Solver++), section 5 and appendix, for eta = 1.
    """
    order_among((1, 2, 3), order)
    if not 0.0 <= eta < math.inf:
        raise InputError(f"eta is 0 (deterministic) or more (1: the reverse SDE), got {eta}")
    places = half_log_snr(schedule, timesteps)
    history: History = []
    for i, ((t, s), (a, b)) in enumerate(zip(pairwise(timesteps), pairwise(places), strict=True)):
        x0_hat, eps_hat = denoise(x, t)
        history = remembered(history, a, x0_hat, order)
        h = b - a
        if eta > 0.0 and schedule.sigma(s) > 0.0:
            fresh = math.sqrt(-math.expm1(-2.0 * eta * h))
            eps_hat = math.exp(-eta * h) * eps_hat + fresh * draw(noise, i, x)
        x = first_order(schedule, x0_hat, eps_hat, s)
        if math.isfinite(h):
            scale, z = DATA_PREDICTION.scale(schedule, s), -(1.0 + eta) * h
            half = midpoint and order == 2
            x = extrapolated(x, scale, z, h, history, midpoint=half, legacy=legacy)
        yield Step(float(s), x, x0_hat)
