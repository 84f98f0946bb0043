r"""Exponential integrators: the common parts of DPM-Solver, DPM-Solver++, UniPC and DEIS.

In half the log-SNR, :math:`\ell = \lambda / 2 = \log(\alpha / \sigma)`, the solution of the
probability-flow ODE :eq:`probability-flow` is exact up to an integral of eps_hat or x0_hat. The
solvers differ in how they find the derivatives of that estimate with respect to :math:`\ell`: from
earlier steps (multistep), or from intermediate times (singlestep).

A step to sigma = 0, or from alpha = 0, has infinite length in :math:`\ell`, so derivatives are of
no use. All solvers take it with order one, as DDIM's :eq:`ddim-step`; at sigma = 0 that is x0_hat.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from npdiff.backend import Array
from npdiff.samplers.checks import check_among
from npdiff.schedules import Schedule


def phi(n: int, z: float) -> float:
    r"""The phi functions, the weights of derivatives in exponential integrators.

    .. math::
        :label: phi-functions

        \varphi_0(z) = e^z,
        \qquad
        \varphi_n(z) = \int_0^1 e^{(1 - u) z}\, \frac{u^{n - 1}}{(n - 1)!}\, \mathrm d u
        = \sum_{k = 0}^\infty \frac{z^k}{(k + n)!}

    .. math::
        :label: phi-recurrence

        \varphi_{n + 1}(z) = \frac{\varphi_n(z) - 1 / n!}{z}

    For small z, where the recurrence cancels, the series is summed. At minus infinity the value is
    0.

    Notes
    -----
    Hochbruck and Ostermann 2010, section 2.

    Examples
    --------
    >>> [phi(n, 0.0) for n in range(3)]
    [1.0, 1.0, 0.5]
    >>> phi(2, -math.inf) == 0.0
    True
    """
    if abs(z) < 2.0:
        return math.fsum(z**k / math.factorial(k + n) for k in range(32))
    value = math.exp(z)
    for k in range(n):
        value = (value - 1.0 / math.factorial(k)) / z
    return value


def half_log_snr(schedule: Schedule, timesteps: np.ndarray) -> list[float]:
    """Half the log-SNR at each time; inf where there is no noise, -inf where there is no signal."""
    return (0.5 * np.atleast_1d(schedule.log_snr(timesteps))).tolist()


@dataclass(frozen=True)
class Prediction:
    r"""The solver's prediction type: the estimate it expands in a Taylor series, eps_hat or x0_hat.

    .. math::
        :label: exponential-eps

        x_s = \frac{\alpha_s}{\alpha_t} x_t
        - \alpha_s \int_{\ell_t}^{\ell_s} e^{-\ell}\, \hat\epsilon_\ell \,\mathrm d \ell

    .. math::
        :label: exponential-x0

        x_s = \frac{\sigma_s}{\sigma_t} x_t
        + \sigma_s \int_{\ell_t}^{\ell_s} e^{\ell}\, \hat x_{0, \ell} \,\mathrm d \ell

    Both are exact; :func:`taylor_step` covers both.

    Parameters
    ----------
    name : ``"eps"`` or ``"x0"``
    sign : the sign in z = sign h: 1 for ``"eps"``, -1 for ``"x0"``

    Notes
    -----
    Lu et al. 2022 (DPM-Solver), section 3.1, for the noise; Lu et al. 2022 (DPM-Solver++),
    section 4, for the data.
    """

    name: str
    sign: int

    def estimate(self, x0_hat: Array, eps_hat: Array) -> Array:
        """The estimate m of this type."""
        return eps_hat if self.sign > 0 else x0_hat

    def scale(self, schedule: Schedule, t: float) -> float:
        """The scale c_t of its derivatives: sigma_t for ``"eps"``, alpha_t for ``"x0"``."""
        return schedule.sigma(t) if self.sign > 0 else schedule.alpha(t)

    def both_estimates(
        self, schedule: Schedule, x: Array, estimate: Array, t: float
    ) -> tuple[Array, Array]:
        """x0_hat and eps_hat at x, from that of this type: alpha x0_hat + sigma eps_hat = x."""
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        if self.sign > 0:
            return (1.0 / alpha) * x - (sigma / alpha) * estimate, estimate
        return estimate, (1.0 / sigma) * x - (alpha / sigma) * estimate


NOISE_PREDICTION, DATA_PREDICTION = Prediction("eps", 1), Prediction("x0", -1)

#: The solver's prediction types by name.
PREDICTIONS = {prediction.name: prediction for prediction in (NOISE_PREDICTION, DATA_PREDICTION)}


def solver_prediction(name: str) -> Prediction:
    """The prediction type called ``name``; an InputError if it is unknown."""
    check_among("prediction", list(PREDICTIONS), name)
    return PREDICTIONS[name]


def first_order(schedule: Schedule, x0_hat: Array, eps_hat: Array, s: float) -> Array:
    r"""The step of order one, alpha_s x0_hat + sigma_s eps_hat, which is DDIM's.

    In terms of x_t and one estimate, the weight of the estimate is :math:`-c_s z \varphi_1(z)`;
    in terms of both estimates the formula holds for steps of any length, infinite ones included.
    """
    return schedule.alpha(s) * x0_hat + schedule.sigma(s) * eps_hat


def subtract_terms(x: Array, scale: float, terms: Iterable[tuple[float, Array]]) -> Array:
    """x minus ``scale`` times the weighted sum of the terms, given as (weight, term)."""
    for weight, term in terms:
        x = x - (scale * weight) * term
    return x


def taylor_step(x: Array, scale: float, z: float, derivatives: Sequence[Array]) -> Array:
    r"""The step of order one plus the terms of a Taylor series of the estimate in :math:`\ell`.

    .. math::
        :label: exponential-taylor

        x_s = \alpha_s \hat x_0 + \sigma_s \hat\epsilon
        - c_s \sum_{n \ge 1} z\, \varphi_{n + 1}(z)\; h^n m^{(n)}_t,
        \qquad
        (m, c, z) = (\hat\epsilon,\, \sigma,\, h) \;\text{ or }\; (\hat x_0,\, \alpha,\, -h)

    with :math:`h = \ell_s - \ell_t` and derivatives with respect to :math:`\ell`: the Taylor series
    of m in :eq:`exponential-eps` or :eq:`exponential-x0`, integrated term by term.

    Parameters
    ----------
    x : (N, ...) array, the step of order one
    scale : c_s
    z : finite
    derivatives : h m', h^2 m'', ... at t, arrays of the shape of ``x``

    Returns
    -------
    (N, ...) array

    Notes
    -----
    Lu et al. 2022 (DPM-Solver), section 3.2.
    """
    return subtract_terms(
        x, scale, ((z * phi(n, z), term) for n, term in enumerate(derivatives, start=2))
    )
