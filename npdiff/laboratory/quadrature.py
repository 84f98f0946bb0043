r"""The exactness of an exponential integrator's quadrature.

A solver of order p approximates the estimate of data or noise by a polynomial of degree p - 1. If
the estimate is such a polynomial, one step with a full history is exact, however long it is. So a
single step reveals a wrong coefficient, where the slope of an error would need hundreds.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.denoiser import Denoise
from npdiff.samplers import SAMPLERS
from npdiff.schedules import EDM, Schedule, Times

#: Gauss-Legendre nodes and weights on (-1, 1).
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(60)


def integral(f: Callable[[np.ndarray], np.ndarray], a: float, b: float) -> float:
    """The integral of a smooth function from a to b, by Gauss-Legendre quadrature with 60 nodes."""
    middle, half = 0.5 * (a + b), 0.5 * (b - a)
    return float(half * (_WEIGHTS @ f(middle + half * _NODES)))


def denoiser_in_time(schedule: Schedule, smooth: str, estimate: Callable[[Times], Any]) -> Denoise:
    """A denoiser with one of its two estimates a function of time alone.

    Parameters
    ----------
    schedule : Schedule
    smooth : the estimate that depends on time alone, ``"x0"`` or ``"eps"``
    estimate : maps time to a scalar, or to an (N,) array for x of shape (N, ...)
    """

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        m = 0.0 * x + per_sample(estimate(t), x)
        if smooth == "x0":
            return m, (x - alpha * m) / sigma
        return (x - sigma * m) / alpha, m

    return denoise


def quadrature_error(
    sampler: str,
    lambdas: Sequence[float],
    integrand: Callable[[np.ndarray], np.ndarray],
    smooth: str = "x0",
    **options: Any,
) -> float:
    r"""The error of the last of several steps, for an estimate that is a function of time alone.

    .. math::
        :label: quadrature-error

        \int_{\ell_t}^{\ell_s} e^{\ell - \ell_s}\, m(\ell)\, \mathrm d \ell
        \quad\text{(data)},
        \qquad
        \int_{\ell_t}^{\ell_s} e^{\ell_s - \ell}\, m(\ell)\, \mathrm d \ell
        \quad\text{(noise)}

    is what the step should add to x_t in units of alpha_s or -sigma_s; the error is the difference
    between what it adds and this integral.

    Parameters
    ----------
    sampler : a key of :data:`npdiff.samplers.SAMPLERS`
    lambdas : half log-SNR of the timesteps, ascending; the error is that of the last step
    integrand : maps half log-SNR to the estimate m
    smooth : the estimate m, ``"x0"`` or ``"eps"``
    options : options of the sampler

    Returns
    -------
    float

    Examples
    --------
    The third-order multistep formula of DPM-Solver++ in public code is not exact for a parabola;
    with the missing factor of 2 it is:

    >>> from npdiff.laboratory.quadrature import quadrature_error
    >>> lambdas = [-0.9, -0.3, 0.2, 0.9]
    >>> for legacy in (True, False):
    ...     options = {"order": 3, "legacy": legacy}
    ...     error = quadrature_error("dpmpp-multistep", lambdas, np.square, **options)
    ...     print(round(error, 4) + 0.0)
    -0.0484
    0.0
    """
    schedule = EDM()
    timesteps = np.exp(-np.asarray(lambdas, dtype=np.float64))
    denoise = denoiser_in_time(schedule, smooth, lambda t: integrand(-np.log(t)))
    steps = list(SAMPLERS[sampler](denoise, schedule, np.zeros((1, 1)), timesteps, **options))
    t, s = timesteps[-2:]
    x_t = float(steps[-2].x[0, 0]) if len(steps) > 1 else 0.0
    x_s = float(steps[-1].x[0, 0])
    if smooth == "x0":
        added = x_s - s / t * x_t
        return added - integral(lambda u: np.exp(u - lambdas[-1]) * integrand(u), *lambdas[-2:])
    added = (x_t - x_s) / s
    return added - integral(lambda u: np.exp(lambdas[-1] - u) * integrand(u), *lambdas[-2:])
