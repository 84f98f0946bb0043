r"""DPM-Solver++: exponential integrators of the probability-flow ODE with data prediction.

x0_hat, unlike eps_hat, can be clipped and stays bounded under guidance.
"""

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.samplers._dpm_solver import dpm_solver
from npdiff.samplers.exponential import DATA_PREDICTION
from npdiff.samplers.multistep import multistep_solver
from npdiff.samplers.step import Noise, Steps
from npdiff.schedules import Schedule


def dpmpp_2s(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    noise: Noise | None = None,
) -> Steps:
    r"""DPM-Solver++(2S), singlestep and of order 2.

    .. math::
        :label: dpmpp-2s

        u &= \frac{\sigma_{s_1}}{\sigma_t} x_t
        - \alpha_{s_1} \left( e^{-h/2} - 1 \right) \hat x_0(x_t, t)
        \\
        x_s &= \frac{\sigma_s}{\sigma_t} x_t
        - \alpha_s \left( e^{-h} - 1 \right) \hat x_0(u, s_1)

    with s_1 halfway in log-SNR. Steps to sigma = 0, which return x0_hat, and from alpha = 0 are of
    order 1 and take one evaluation.

    Evaluations: two per step.

    Notes
    -----
    Lu et al. 2022 (DPM-Solver++), Algorithm 1; it is :func:`~npdiff.samplers.dpm_solver` of order 2
    with data prediction.
    """
    yield from dpm_solver(denoise, schedule, x, timesteps, order=2, prediction="x0")


def dpmpp_multistep(
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
    r"""DPM-Solver++(2M) and (3M), multistep.

    Of order 2, with :math:`r = (\ell_t - \ell_{t'}) / h` for the step before, from t' to t,

    .. math::
        :label: dpmpp-2m

        x_s = \frac{\sigma_s}{\sigma_t} x_t - \alpha_s \left( e^{-h} - 1 \right)
        \left[ \Big( 1 + \frac{1}{2r} \Big) \hat x_0(x_t, t)
        - \frac{1}{2r}\, \hat x_0(x_{t'}, t') \right]

    and of order 3, with :eq:`divided-differences` for the derivatives,

    .. math::
        :label: dpmpp-3m

        x_s = \frac{\sigma_s}{\sigma_t} x_t
        - \alpha_s \left( e^{-h} - 1 \right) \hat x_0
        + \alpha_s \left( e^{-h} - 1 + h \right) \hat x_0'
        - \alpha_s \left( e^{-h} - 1 + h - \tfrac12 h^2 \right) \hat x_0''

    :mod:`npdiff.samplers.multistep` explains the option ``start``. Steps to sigma = 0, which return
    x0_hat, and from alpha = 0 are of order 1.

    Evaluations: one per step.

    Parameters
    ----------
    order : 1 (DDIM), 2 (2M) or 3 (3M)
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
    Lu et al. 2022 (DPM-Solver++), Algorithm 2 for order 2 and the appendix for order 3.
    """
    yield from multistep_solver(
        denoise, schedule, x, timesteps, DATA_PREDICTION,
        order=order, midpoint=midpoint, start=start, legacy=legacy,
    )  # fmt: skip
