r"""The exactness of an exponential integrator's quadrature.

A solver of order p sees the estimate of data or noise as a polynomial of degree p - 1 in a variable
of its own. Where the estimate is such a polynomial of time, one step with a full history has
nothing left to be wrong about, however long it is. This tells a wrong coefficient from a right one
in a single step, where the slope of an error would need hundreds.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.denoiser import Denoise
from npdiff.samplers import SAMPLERS
from npdiff.schedules import EDM, Schedule, Times

#: Gauss's nodes and weights on (-1, 1).
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(60)


def integral(f: Callable[[np.ndarray], np.ndarray], a: float, b: float) -> float:
    """The integral of a smooth function from a to b, by Gauss and Legendre with 60 nodes."""
    middle, half = 0.5 * (a + b), 0.5 * (b - a)
    return float(half * (_WEIGHTS @ f(middle + half * _NODES)))


def known(schedule: Schedule, smooth: str, estimate: Callable[[Times], Any]) -> Denoise:
    """A denoiser one of whose two estimates is a function of time alone.

    Parameters
    ----------
    schedule : Schedule
    smooth : which: ``"x0"`` or ``"eps"``
    estimate : from time to a number, or to an (N,) array for x of (N, ...)
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
    places: Sequence[float],
    integrand: Callable[[np.ndarray], np.ndarray],
    smooth: str = "x0",
    **options: Any,
) -> float:
    r"""How far off the last of several steps is, for an estimate that is a function of time alone.

    .. math::
        :label: quadrature-error

        \int_{\ell_t}^{\ell_s} e^{\ell - \ell_s}\, m(\ell)\, \mathrm d \ell
        \quad\text{(data)},
        \qquad
        \int_{\ell_t}^{\ell_s} e^{\ell_s - \ell}\, m(\ell)\, \mathrm d \ell
        \quad\text{(noise)}

    is what the step should add to x_t in units of alpha_s or of -sigma_s, and the error is what it
    adds less that.

    Parameters
    ----------
    sampler : a key of :data:`npdiff.samplers.SAMPLERS`
    places : half log-SNR of the grid, ascending; the last step is judged
    integrand : m, from half log-SNR to the estimate
    smooth : which estimate it is, ``"x0"`` or ``"eps"``
    options : the sampler's own

    Returns
    -------
    float

    Examples
    --------
    The third-order multistep formula of DPM-Solver++ as public code has it is not exact for a
    parabola, and with the factor of 2 it is:

    >>> from npdiff.laboratory.quadrature import quadrature_error
    >>> places = [-0.9, -0.3, 0.2, 0.9]
    >>> for legacy in (True, False):
    ...     options = {"order": 3, "legacy": legacy}
    ...     error = quadrature_error("dpmpp-multistep", places, np.square, **options)
    ...     print(round(error, 4) + 0.0)
    -0.0484
    0.0
    """
    schedule = EDM()
    timesteps = np.exp(-np.asarray(places, dtype=np.float64))
    denoise = known(schedule, smooth, lambda t: integrand(-np.log(t)))
    steps = list(SAMPLERS[sampler](denoise, schedule, np.zeros((1, 1)), timesteps, **options))
    t, s = timesteps[-2:]
    x_t = float(steps[-2].x[0, 0]) if len(steps) > 1 else 0.0
    x_s = float(steps[-1].x[0, 0])
    if smooth == "x0":
        added = x_s - s / t * x_t
        return added - integral(lambda u: np.exp(u - places[-1]) * integrand(u), *places[-2:])
    added = (x_t - x_s) / s
    return added - integral(lambda u: np.exp(places[-1] - u) * integrand(u), *places[-2:])
