r"""Exponential integrators: what DPM-Solver, DPM-Solver++, UniPC and DEIS have in common.

Measured in half of the log-SNR, :math:`\ell = \lambda / 2 = \log(\alpha / \sigma)`, the
probability-flow ODE :eq:`probability-flow` is solved exactly but for an integral of the estimate of
the noise or of the data. The solvers differ in how they find its derivatives with respect to
:math:`\ell`: from earlier steps, or from times in between.

A step that arrives at sigma = 0, or leaves from alpha = 0, has infinite length in it, over which
derivatives say nothing. All solvers take it with order one, as DDIM's :eq:`ddim-step`; on arriving
at sigma = 0 that is x0_hat.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.errors import InputError
from npdiff.schedules import Schedule, Times


def phi(n: int, z: float) -> float:
    r"""The functions by which exponential integrators weigh derivatives.

    .. math::
        :label: phi-functions

        \varphi_0(z) = e^z,
        \qquad
        \varphi_n(z) = \int_0^1 e^{(1 - u) z}\, \frac{u^{n - 1}}{(n - 1)!}\, \mathrm d u
        = \sum_{k = 0}^\infty \frac{z^k}{(k + n)!}

    .. math::
        :label: phi-recurrence

        \varphi_{n + 1}(z) = \frac{\varphi_n(z) - 1 / n!}{z}

    Where z is small the recurrence loses its digits to a difference, and the series is summed. At
    minus infinity they vanish.

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
    """Half of the log-SNR at each time; inf where there is no noise, -inf where no signal is."""
    return [float(value) for value in 0.5 * np.atleast_1d(schedule.log_snr(timesteps))]


@dataclass(frozen=True)
class SolverPrediction:
    r"""Which estimate a solver takes for a smooth function of time: the noise's or the data's.

    .. math::
        :label: exponential-eps

        x_s = \frac{\alpha_s}{\alpha_t} x_t
        - \alpha_s \int_{\ell_t}^{\ell_s} e^{-\ell}\, \hat\epsilon_\ell \,\mathrm d \ell

    .. math::
        :label: exponential-x0

        x_s = \frac{\sigma_s}{\sigma_t} x_t
        + \sigma_s \int_{\ell_t}^{\ell_s} e^{\ell}\, \hat x_{0, \ell} \,\mathrm d \ell

    Both are exact; :func:`taylor` says how alike they are.

    Parameters
    ----------
    name : ``"eps_hat"`` or ``"x0"``
    sign : of z = sign h: 1 for the noise, -1 for the data

    Notes
    -----
    Lu et al. 2022 (DPM-Solver), section 3.1, for the noise; Lu et al. 2022 (DPM-Solver++),
    section 4, for the data.
    """

    name: str
    sign: int

    def estimate(self, x0_hat: Array, eps_hat: Array) -> Array:
        """The estimate m that is taken for smooth."""
        return eps_hat if self.sign > 0 else x0_hat

    def scale(self, schedule: Schedule, t: Times) -> float:
        """The scale c_t of its derivatives: sigma_t for the noise, alpha_t for the data."""
        return float(schedule.sigma(t) if self.sign > 0 else schedule.alpha(t))

    def completed(
        self, schedule: Schedule, x: Array, estimate: Array, t: Times
    ) -> tuple[Array, Array]:
        """The estimates of data and noise at x, of which one is known: they add up to x."""
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        if self.sign > 0:
            x0_hat = per_sample(1.0 / alpha, x) * x - per_sample(sigma / alpha, x) * estimate
            return x0_hat, estimate
        return estimate, per_sample(1.0 / sigma, x) * x - per_sample(alpha / sigma, x) * estimate


NOISE_PREDICTION, DATA_PREDICTION = SolverPrediction("eps", 1), SolverPrediction("x0", -1)

SOLVER_PREDICTIONS = {
    prediction.name: prediction for prediction in (NOISE_PREDICTION, DATA_PREDICTION)
}


def solver_prediction(name: str) -> SolverPrediction:
    """The form of that name.

    Raises
    ------
    InputError
        If it is none.
    """
    if name not in SOLVER_PREDICTIONS:
        raise InputError(
            f"unknown prediction {name!r}: choose one of {', '.join(SOLVER_PREDICTIONS)}"
        )
    return SOLVER_PREDICTIONS[name]


def order_among(orders: Sequence[int], order: int) -> int:
    """``order``, if it is one of those a solver has.

    Raises
    ------
    InputError
        If it is none.
    """
    if order not in orders:
        raise InputError(f"unknown order {order}: choose one of {', '.join(map(str, orders))}")
    return order


def first_order(schedule: Schedule, x0_hat: Array, eps_hat: Array, s: Times) -> Array:
    r"""The step of order one, alpha_s x0_hat + sigma_s eps_hat, for both forms: DDIM's.

    In terms of x_t and one estimate, the weight of the estimate is :math:`-c_s z \varphi_1(z)`;
    written with both estimates it holds for steps of any length, infinite ones included.
    """
    return (
        per_sample(schedule.alpha(s), x0_hat) * x0_hat
        + per_sample(schedule.sigma(s), eps_hat) * eps_hat
    )


def added(x: Array, scale: float, terms: Iterable[tuple[float, Array]]) -> Array:
    """x less the terms, each weighed by its number and all of them by ``scale``."""
    for weight, term in terms:
        x = x - (scale * weight) * term
    return x


def taylor(x: Array, scale: float, z: float, derivatives: Sequence[Array]) -> Array:
    r"""A step of order one made exact for an estimate that is a polynomial in :math:`\ell`.

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
    return added(x, scale, ((z * phi(n, z), term) for n, term in enumerate(derivatives, start=2)))
