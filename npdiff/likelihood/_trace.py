"""The trace of a denoiser's Jacobian: exact, or estimated with random probes."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.denoiser import Denoise, timestep
from npdiff.errors import InputError
from npdiff.parameterization import Parameterization
from npdiff.pullback import Traced
from npdiff.random import Key
from npdiff.schedules import Schedule, Times


class Linear(NamedTuple):
    """A denoiser linearized at one point.

    Attributes
    ----------
    x_0 : the estimate x0_hat, (N, ...)
    jacobian : v -> J v or v -> J^T v for the Jacobian J of x0_hat; both have the same trace
    """

    x_0: Array
    jacobian: Callable[[Array], Array]


#: From (x, t) to the linearized denoiser.
Linearize = Callable[[Array, float], Linear]

#: Fourth-order central differences: multiples of the step size, and their weights.
_STENCIL = ((1.0, 8.0 / 12.0), (-1.0, -8.0 / 12.0), (2.0, -1.0 / 12.0), (-2.0, 1.0 / 12.0))

PROBES = ("rademacher", "gaussian")


def linearize_by_differences(denoise: Denoise, schedule: Schedule, step: float = 0.01) -> Linearize:
    """Linearize any denoiser by central differences: four calls for each direction.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    step : the step size, in units of sigma_t. The truncation error is of fourth order in it; for
        float32, whose rounding error grows as it shrinks, use about 0.1
    """

    def linearize(x: Array, t: float) -> Linear:
        h = step * float(schedule.sigma(t))

        def forward(v: Array) -> Array:
            parts = (c / h * denoise(x + (k * h) * v, t)[0] for k, c in _STENCIL)
            return sum(parts, namespace(x).zeros_like(x))

        return Linear(denoise(x, t)[0], forward)

    return linearize


def linearize_by_pullback(
    module: Callable[..., Traced],
    schedule: Schedule,
    parameterization: Parameterization,
    **conditions: Any,
) -> Linearize:
    """Linearize a network by its pullback: one backward pass for each direction.

    Parameters
    ----------
    module : called as ``module(x, timestep, **conditions)``, returns ``(output, pullback)``; the
        pullback returns the cotangents of the module, of x, and possibly of other arguments
    schedule : Schedule
    parameterization : the meaning of the output
    conditions : keyword arguments of the module
    """

    def linearize(x: Array, t: float) -> Linear:
        network_input = parameterization.network_input(schedule, x, t)
        output, f_pullback = module(network_input, timestep(schedule, x, t), **conditions)
        x_0, _ = parameterization.solve(schedule, x, output, t)
        _, b = parameterization.coefficients(schedule, t)
        determinant = parameterization.determinant(schedule, t)
        of_x, of_output = b / determinant, -schedule.sigma(t) / determinant

        def jacobian_transposed(v: Array) -> Array:
            dnetwork_input = f_pullback(per_sample(of_output, v) * v)[1]
            return per_sample(of_x, v) * v + parameterization.network_input(
                schedule, dnetwork_input, t
            )

        return Linear(x_0, jacobian_transposed)

    return linearize


class KnownDenoiser(Protocol):
    """A distribution with a known optimal denoiser: one of :mod:`npdiff.exact`."""

    def denoised(self, schedule: Schedule, x: Array, t: Times) -> Array:
        """E[x_0 | x_t = x]."""

    def jacobian(self, schedule: Schedule, x: Array, t: Times) -> Array:
        """The Jacobian of E[x_0 | x_t = x] with respect to x, (N, D, D)."""


def linearize_by_jacobian(distribution: KnownDenoiser, schedule: Schedule) -> Linearize:
    """The optimal denoiser of a distribution with its exact Jacobian :eq:`denoiser-jacobian`."""

    def linearize(x: Array, t: float) -> Linear:
        jacobian = distribution.jacobian(schedule, x, t)

        def forward(v: Array) -> Array:
            rows = v.reshape(v.shape[0], 1, -1)
            return (jacobian * rows).sum(axis=-1).reshape(v.shape)

        return Linear(distribution.denoised(schedule, x, t), forward)

    return linearize


def random_probes(key: Key, x: Array, count: int = 1, kind: str = "rademacher") -> list[Array]:
    """Random directions with covariance I: random signs, or standard normal entries.

    Parameters
    ----------
    key : with N samples
    x : (N, ...) array, for its shape, dtype and backend
    count : how many directions
    kind : ``"rademacher"`` (signs; the diagonal of J adds no error) or ``"gaussian"``

    Raises
    ------
    InputError
        If the kind is unknown or the count is below 1.
    """
    if kind not in PROBES or count < 1:
        raise InputError(
            f"expected one probe or more, of kind {' or '.join(PROBES)}, got {count} of {kind!r}"
        )
    xp, shape = namespace(x), x.shape[1:]
    keys = [key.fold("probe").fold(k) for k in range(count)]
    if kind == "gaussian":
        return [one.normal(shape, xp).astype(x.dtype) for one in keys]
    size = int(np.prod(shape))
    bits = (one.bits(size, xp).reshape(-1, *shape) & xp.uint64(1) for one in keys)
    return [1.0 - 2.0 * bit.astype(x.dtype) for bit in bits]


def trace(
    jacobian: Callable[[Array], Array], x: Array, probes: Sequence[Array] | None = None
) -> Array:
    r"""The trace of the Jacobian of each sample, (N,).

    .. math::
        :label: hutchinson-trace

        \operatorname{tr} J = \sum_{d} e_d^\top J e_d
        = \mathbb E_v \left[ v^\top J v \right],
        \qquad \mathbb E [v v^\top] = I

    Parameters
    ----------
    jacobian : v -> J v or J^T v, sample by sample
    x : (N, ...) array, for its shape
    probes : the v over which the second form is averaged; None computes the first form exactly,
        with D products

    Notes
    -----
    Hutchinson 1990; Grathwohl et al. 2019 for its use here.
    """
    directions, weight = (_basis(x), 1.0) if probes is None else (probes, 1.0 / len(probes))
    return weight * sum((v * jacobian(v)).reshape(x.shape[0], -1).sum(axis=1) for v in directions)


def _basis(x: Array) -> Iterator[Array]:
    """The D unit vectors of a sample, each broadcast to the shape of x."""
    xp = namespace(x)
    D = int(np.prod(x.shape[1:]))
    for d in range(D):
        direction = (xp.arange(D) == d).astype(x.dtype).reshape(1, *x.shape[1:])
        yield xp.broadcast_to(direction, x.shape)
